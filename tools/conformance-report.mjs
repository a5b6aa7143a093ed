// conformance-report.mjs REPORT EXPECTED: prints what the replay found, and fails where a scenario that EXPECTED names (one glob a line,
// # for comments) did not pass whole, but for the steps that stand indented below it, each with `# reason`: those must not pass.
import { readFileSync } from 'node:fs'

const [reportFile, expectedFile] = process.argv.slice(2)
const report = JSON.parse(readFileSync(reportFile, 'utf8'))
const patterns = [] // { glob, regexp, used, steps: [{ step, used }] }
const toRegExp = (glob) => new RegExp(`^${glob.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*')}$`)
for (const line of readFileSync(expectedFile, 'utf8').split('\n')) {
  if (/^\s*(#|$)/.test(line)) continue
  const except = line.match(/^\s+(.*\S)\s+# (.*\S)/)
  if (except && patterns.length) patterns.at(-1).steps.push({ step: except[1], reason: except[2], used: false })
  else patterns.push({ glob: line.replace(/#.*/, '').trim(), regexp: toRegExp(line.replace(/#.*/, '').trim()), used: false, steps: [] })
}

// Of one scenario: the steps that should have passed and did not, and those that should not have.
function faults(steps, expected) {
  const excepted = expected.flatMap((p) => p.steps)
  const bad = []
  for (const { step, ok } of steps) {
    const except = excepted.find((e) => e.step === step)
    if (except) except.used = true
    if (except && ok) bad.push(`${step}: passes, though the reference is said to be at fault`)
    else if (!except && !ok) bad.push(step)
  }
  return bad
}

let passed = 0
const failures = []
for (const { scenario, steps } of report.scenarios) {
  const expected = patterns.filter((p) => p.regexp.test(scenario))
  for (const p of expected) p.used = true
  const bad = faults(steps, expected)
  const excepted = steps.filter((s) => !s.ok).length - bad.length
  console.log(`${bad.length === 0 ? 'ok  ' : expected.length ? 'FAIL' : 'open'} ${scenario}${bad.length === 0 && excepted ? ` (but for ${excepted} faults of the reference)` : ''}`)
  if (expected.length === 0) continue
  if (bad.length === 0) passed++
  else failures.push(...bad.map((step) => `${scenario}: ${step}`))
}
for (const p of patterns.filter((p) => !p.used)) failures.push(`${p.glob} (no such scenario)`)
for (const p of patterns.filter((p) => p.used)) for (const e of p.steps.filter((e) => !e.used)) failures.push(`${p.glob}: ${e.step} (no such step)`)

console.log(`\nall steps, expected or not: ${report.passed} passed, ${report.failed} failed`)
for (const failure of failures) console.log(`expected to pass, did not: ${failure}`)
console.log(`conformance: ${passed} passed, ${failures.length} failed`)
process.exit(failures.length ? 1 : 0)
