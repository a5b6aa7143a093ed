// conformance-report.mjs REPORT EXPECTED: prints what the replay found, and fails where a scenario that EXPECTED names (one glob a line,
// # for comments) did not pass whole.
import { readFileSync } from 'node:fs'

const [reportFile, expectedFile] = process.argv.slice(2)
const report = JSON.parse(readFileSync(reportFile, 'utf8'))
const globs = readFileSync(expectedFile, 'utf8')
  .split('\n')
  .map((line) => line.replace(/#.*/, '').trim())
  .filter(Boolean)
const toRegExp = (glob) => new RegExp(`^${glob.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*')}$`)
const patterns = globs.map((glob) => ({ glob, regexp: toRegExp(glob), used: false }))

let passed = 0
const failures = []
for (const { scenario, failed } of report.scenarios) {
  const expected = patterns.filter((p) => p.regexp.test(scenario))
  for (const p of expected) p.used = true
  console.log(`${failed === 0 ? 'ok  ' : expected.length ? 'FAIL' : 'open'} ${scenario}`)
  if (expected.length === 0) continue
  if (failed === 0) passed++
  else failures.push(scenario)
}
for (const p of patterns.filter((p) => !p.used)) failures.push(`${p.glob} (no such scenario)`)

console.log(`\nall steps, expected or not: ${report.passed} passed, ${report.failed} failed`)
for (const failure of failures) console.log(`expected to pass, did not: ${failure}`)
console.log(`conformance: ${passed} passed, ${failures.length} failed`)
process.exit(failures.length ? 1 : 0)
