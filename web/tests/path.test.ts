import assert from 'node:assert/strict'
import { test } from 'node:test'
import { folderName, joinPath, parentPath } from '../src/files/path'

test('the parent of a path', () => {
  assert.equal(parentPath('a/b/c'), 'a/b')
  assert.equal(parentPath('a'), '')
  assert.equal(parentPath(''), '')
})

test('joining skips what is empty', () => {
  assert.equal(joinPath('a', 'b/c'), 'a/b/c')
  assert.equal(joinPath('', 'a', ''), 'a')
  assert.equal(joinPath('', ''), '')
})

test('the root folder has a name', () => {
  assert.equal(folderName(''), 'Files')
  assert.equal(folderName('a/b'), 'a/b')
})
