// The rows on the page: elements are kept by id, so that a change from elsewhere does not take the cursor out of
// a field that is being edited.

const byAge = (a, b) => (a.created_at < b.created_at ? -1 : a.created_at > b.created_at ? 1 : a.id < b.id ? -1 : 1)

export class List {
  constructor(element, actions) {
    this.element = element
    this.actions = actions
    this.items = new Map()
  }

  show(rows) {
    const left = new Set(this.items.keys())
    for (const row of [...rows].sort(byAge)) {
      left.delete(row.id)
      const item = this.items.get(row.id) ?? this.make(row.id)
      this.update(item, row)
    }
    for (const id of left) {
      this.items.get(id).element.remove()
      this.items.delete(id)
    }
    this.order([...rows].sort(byAge).map((row) => this.items.get(row.id).element))
  }

  /** Moves only what is out of place: moving an element that has the focus would take it away. */
  order(elements) {
    elements.forEach((element, i) => {
      if (this.element.children[i] !== element) this.element.insertBefore(element, this.element.children[i] ?? null)
    })
  }

  make(id) {
    const element = document.createElement('li')
    const done = Object.assign(document.createElement('input'), { type: 'checkbox', ariaLabel: 'Done' })
    const text = Object.assign(document.createElement('input'), { className: 'text', maxLength: 500, ariaLabel: 'Title' })
    const remove = Object.assign(document.createElement('button'), { className: 'remove', type: 'button', textContent: '×', ariaLabel: 'Delete' })
    element.append(done, text, remove)
    element.dataset.id = id
    const item = { element, done, text, row: undefined }
    done.addEventListener('change', () => {
      const wanted = done.checked
      done.checked = item.row.done // it changes when Postgres says so
      this.actions.toggle(id, wanted)
    })
    text.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') text.blur()
      if (event.key === 'Escape') {
        text.value = item.row.title
        text.blur()
      }
    })
    text.addEventListener('change', () => this.edited(id, item))
    text.addEventListener('blur', () => (text.value = item.pending ?? item.row.title))
    remove.addEventListener('click', () => this.actions.remove(id))
    this.items.set(id, item)
    return item
  }

  async edited(id, item) {
    const title = item.text.value.trim()
    if (!title || title === item.row.title) return
    item.pending = title
    if (!(await this.actions.edit(id, title))) item.text.value = item.row.title
    item.pending = undefined
  }

  update(item, row) {
    const before = item.row
    item.row = row
    item.done.checked = row.done
    item.element.classList.toggle('done', row.done)
    if (document.activeElement !== item.text || item.text.value === before?.title) item.text.value = row.title
    if (before && (before.title !== row.title || before.done !== row.done)) flash(item.element)
  }
}

function flash(element) {
  element.classList.remove('changed')
  void element.offsetWidth // restarts the animation
  element.classList.add('changed')
}
