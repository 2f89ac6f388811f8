// The terms in tests/banned-terms.txt of the repository, which says how they are matched, do not occur in the page. The
// Rust test of the same name checks the whole repository; this one gives the result without a Rust build.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const ROOT = join(import.meta.dirname, '..', '..')
const LIST = join(ROOT, 'tests', 'banned-terms.txt')
const FOLDERS = ['web/src', 'web/e2e', 'web/tests']

type Term = { expression: RegExp; allowed: RegExp | null; prefixes: string[] }

function parse(list: string): Term[] {
  const terms: Term[] = []
  let prefixes = ['']
  for (const line of list.split('\n')) {
    if (!line || line.startsWith('#')) continue
    if (line.startsWith('[') && line.endsWith(']')) {
      prefixes = line.slice(1, -1).split(/\s+/)
      continue
    }
    const [expression = '', allowed] = line.split('  except  ')
    const exception = allowed === undefined ? null : new RegExp(`^(?:${allowed})$`)
    terms.push({ expression: new RegExp(expression, 'g'), allowed: exception, prefixes })
  }
  return terms
}

/** `file:line: term` of each occurrence. Line 0 is the path. */
function search(path: string, content: string, terms: Term[]): string[] {
  const relevant = terms.filter(({ prefixes }) => prefixes.some((prefix) => path.startsWith(prefix)))
  return [path, ...content.split('\n')].flatMap((line, index) => {
    // In lower case, and the same with identifiers split into words.
    const variants = [line, line.replaceAll(/(?<=[a-z0-9])(?=[A-Z])|_/g, ' ')].map((text) => text.toLowerCase())
    const occurs = ({ expression, allowed }: Term) =>
      variants.some((text) => (text.match(expression) ?? []).some((found) => !allowed?.test(found)))
    return relevant.filter(occurs).map(({ expression }) => `${path}:${index}: ${expression.source}`)
  })
}

test('no banned term occurs', { skip: !existsSync(LIST) && 'there is no list' }, () => {
  const terms = parse(readFileSync(LIST, 'utf8'))
  const files = FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name)),
  )
  const found = files.flatMap((file) => search(file.slice(ROOT.length + 1), readFileSync(file, 'utf8'), terms))
  assert.ok(files.length > 50)
  assert.deepEqual(found, [])
})

test('a term is found in prose, identifiers and file names', () => {
  const terms = parse('# comment\n\\bgadgets?\\b\n\\bis no [a-z]+\\b  except  is no longer\n[docs]\n\\bfoo\\b\n')
  const count = (path: string, content: string) => search(path, content, terms).length
  assert.equal(count('web/a.ts', 'A Gadget\nlet gadgetRow = gadget_row(GadgetRow)\ngadgetry'), 2)
  assert.equal(count('web/a.ts', `it is no longer; it is ${'no'} file`), 1)
  assert.equal(count('web/gadgets.ts', ''), 1)
  assert.deepEqual([count('web/a.ts', 'foo'), count('docs/a.md', 'foo')], [0, 1])
})
