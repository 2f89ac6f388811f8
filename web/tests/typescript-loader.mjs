// Lets Node's test runner import the TypeScript sources: resolves imports without an extension and strips the types.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const { options } = ts.convertCompilerOptionsFromJson(
  ts.readConfigFile(new URL('../tsconfig.json', import.meta.url).pathname, ts.sys.readFile).config.compilerOptions,
  '.',
)

export async function resolve(specifier, context, next) {
  if (/^\.{1,2}\//.test(specifier) && !/\.[a-z]+$/.test(specifier)) {
    for (const extension of ['.ts', '.tsx']) {
      const url = new URL(specifier + extension, context.parentURL)
      if (existsSync(url)) return { url: url.href, shortCircuit: true }
    }
  }
  return next(specifier, context)
}

export async function load(url, context, next) {
  if (!/\.tsx?$/.test(url)) return next(url, context)
  const fileName = fileURLToPath(url)
  const { outputText } = ts.transpileModule(await readFile(fileName, 'utf8'), { compilerOptions: options, fileName })
  return { format: 'module', source: outputText, shortCircuit: true }
}
