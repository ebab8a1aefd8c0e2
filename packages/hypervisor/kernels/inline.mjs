// Puts the bodies of the kernels' functions where they are called. The engine does not inline calls of WebAssembly functions,
// and a call costs as much as what most of these functions do; the sources stay cut by ideas all the same.
//
// It understands text as the kernels are written: folded instructions, one name in each (param …) and (local …).

const TOKEN = /\(;[\s\S]*?;\)|;;[^\n]*|"(?:[^"\\]|\\.)*"|[()]|[^\s()";]+/g;
const ZERO = {
  i32: ['i32.const', '0'],
  i64: ['i64.const', '0'],
  v128: ['v128.const', 'i32x4', '0', '0', '0', '0'],
};
const BLOCKS = new Set(['block', 'loop', 'if']);

/** @returns the text's first list, as arrays of words and lists. */
function parse(text) {
  const open = [[]];
  for (const [token] of text.matchAll(TOKEN)) {
    if (token.startsWith(';;') || token.startsWith('(;')) continue;
    if (token === '(') open.push([]);
    else if (token === ')') {
      const list = open.pop();
      open.at(-1).push(list);
    } else open.at(-1).push(token);
  }
  return open[0][0];
}

const print = (node) => (Array.isArray(node) ? `(${node.map(print).join(' ')})` : node);

const HEADS = ['export', 'param', 'result', 'local'];

function functionOf(list) {
  const rest = list.slice(1);
  const name = typeof rest[0] === 'string' ? rest.shift() : undefined;
  const found = { name, export: [], param: [], result: [], local: [], body: [] };
  for (const part of rest) {
    const head = Array.isArray(part) && found.body.length === 0 && HEADS.includes(part[0]) ? part[0] : 'body';
    found[head].push(part);
  }
  return found;
}

/** All functions called anywhere in these instructions. */
function* callsIn(node) {
  if (!Array.isArray(node)) return;
  if (node[0] === 'call') yield node[1];
  for (const part of node) yield* callsIn(part);
}

/** Whether a function comes back to itself by what it calls. */
function isRecursive(name, functions) {
  const seen = new Set();
  const waiting = [name];
  while (waiting.length > 0) {
    for (const callee of callsIn(functions.get(waiting.pop()).body)) {
      if (callee === name) return true;
      if (!seen.has(callee)) waiting.push(callee);
      seen.add(callee);
    }
  }
  return false;
}

/** These instructions with locals and labels renamed, and `return` as a branch to `out`. */
function renamed(node, names, out) {
  if (!Array.isArray(node)) return names.get(node) ?? node;
  if (node[0] === 'return') return ['br', out, ...node.slice(1).map((part) => renamed(part, names, out))];
  // The name of a function or a global is not one of a local.
  if (node[0] === 'call' || node[0].startsWith('global.'))
    return [node[0], node[1], ...node.slice(2).map((part) => renamed(part, names, out))];
  return node.map((part) => renamed(part, names, out));
}

function* labelsIn(node) {
  if (!Array.isArray(node)) return;
  if (BLOCKS.has(node[0]) && typeof node[1] === 'string') yield node[1];
  for (const part of node) yield* labelsIn(part);
}

/** @returns the module's text with all calls of its own functions replaced but those of recursive ones. */
export function inlined(text) {
  const module = parse(text);
  const functions = new Map();
  const all = module.filter((part) => part[0] === 'func').map(functionOf);
  for (const each of all) if (each.name !== undefined) functions.set(each.name, each);
  const kept = new Set([...functions.keys()].filter((name) => isRecursive(name, functions)));
  const done = new Set();
  let copies = 0;

  const expand = (node, host) => {
    if (!Array.isArray(node)) return node;
    const parts = node.map((part) => expand(part, host));
    if (parts[0] !== 'call' || kept.has(parts[1])) return parts;
    const callee = functions.get(parts[1]);
    finish(callee);
    copies += 1;
    const suffix = `.${copies}`;
    const names = new Map();
    for (const [, name, type] of [...callee.param, ...callee.local]) {
      names.set(name, name + suffix);
      host.local.push(['local', name + suffix, type]);
    }
    for (const label of callee.body.flatMap((part) => [...labelsIn(part)])) names.set(label, label + suffix);
    const out = `$out${suffix}`;
    return [
      'block',
      out,
      ...callee.result,
      ...callee.param.map(([, name], index) => ['local.set', names.get(name), parts[2 + index]]),
      // A call begins with its locals at 0, in a loop too.
      ...callee.local.map(([, name, type]) => ['local.set', names.get(name), ZERO[type]]),
      ...callee.body.map((part) => renamed(part, names, out)),
    ];
  };
  const finish = (each) => {
    if (done.has(each)) return;
    done.add(each);
    each.body = each.body.map((part) => expand(part, each));
  };
  all.forEach(finish);
  const result = module.filter((part) => part[0] !== 'func');
  for (const each of all) {
    if (each.export.length === 0 && !kept.has(each.name)) continue;
    const name = each.name === undefined ? [] : [each.name];
    result.push([
      'func',
      ...name,
      ...each.export,
      ...each.param,
      ...each.result,
      ...each.local,
      ...each.body,
    ]);
  }
  return print(result);
}
