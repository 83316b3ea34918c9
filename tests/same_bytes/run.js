// node run.js ADDON FOLDER TIER: runs the instrumented programs that FOLDER/cases lists in V8, prints a row for each.
'use strict';
const fs = require('fs');
const path = require('path');
const [addonPath, folder, tier] = process.argv.slice(2);
const host = require(path.resolve(addonPath));
const functions = host.functions();

const stop = { stopped: true }; // thrown through the guest when the host ends it

const trapNames = [
  [/unreachable/, 'unreachable'], [/divide by zero|remainder by zero/, 'divide_by_zero'],
  [/unrepresentable/, 'not_representable'], [/memory access out of bounds|data segment/, 'memory_bounds'],
  [/table|element segment|null function|signature mismatch|dereferencing a null pointer/, 'table'],
];
function trapName(error) {
  for (const [pattern, name] of trapNames) if (pattern.test(error.message)) return name;
  return 'other_' + error.message.replace(/\s/g, '_');
}

// Floats and lanes have no bits in JavaScript.
function bits(global, type) {
  return type === 'i32' || type === 'i64' ? global.value : 0;
}

function run(bytes, fuel, pages, elements, words, input) {
  host.begin(BigInt(fuel), BigInt(pages), BigInt(elements), words, input);
  let instance, memory = new ArrayBuffer(0);
  const view = () => instance === undefined ? memory : instance.exports.memory.buffer;
  const wasi = {};
  functions.forEach((entry, index) => {
    const name = entry.replace('!', '');
    wasi[name] = (...values) => {
      const fuel = instance.exports['starling.fuel'];
      const [error, balance] = host.call(index, view(), values, fuel.value);
      fuel.value = balance;
      if (error === undefined) throw stop;
      return entry.endsWith('!') ? undefined : error;
    };
  });
  const starling = {
    slice: (...values) => {
      const next = host.slice(view(), values, globals());
      if (next === undefined) throw stop;
      return next;
    },
    fail: (reason) => { host.fail(reason); throw stop; },
  };
  let trap = '', balance = 0n, numbered = [];
  const globals = () => numbered.flatMap(({ number, type, global }) => [number, bits(global, type)]);
  try {
    const module = new WebAssembly.Module(bytes);
    instance = new WebAssembly.Instance(module, { wasi_snapshot_preview1: wasi, starling });
    const types = new Map(WebAssembly.Module.exports(module).map((one) => [one.name, one.type]));
    for (let number = 0; number < 200; ++number) {
      const name = 'starling.global.' + number;
      if (types.has(name)) numbered.push({ number, type: types.get(name).value, global: instance.exports[name] });
    }
    instance.exports['starling.memory_pages'].value = BigInt(pages);
    instance.exports['starling.table_elements'].value = BigInt(elements);
    try {
      if (instance.exports['starling.start']) instance.exports['starling.start']();
      instance.exports._start();
    } finally {
      balance = instance.exports['starling.fuel'].value;
    }
  } catch (error) {
    if (error instanceof RangeError && /call stack/.test(error.message)) return 'crash native_stack 0 0 0 0 0';
    if (error instanceof WebAssembly.CompileError) return 'refused ' + error.message.replace(/\s/g, '_') + ' 0 0 0 0 0';
    if (error !== stop && !(error instanceof WebAssembly.RuntimeError)) throw error;
    if (error !== stop) trap = trapName(error);
  }
  return host.finish(trap, balance, globals(), view());
}

for (const line of fs.readFileSync(path.join(folder, 'cases'), 'utf8').split('\n')) {
  if (line === '') continue;
  const [name, file, fuel, pages, elements, words, input] = line.split('\t');
  const row = run(fs.readFileSync(path.join(folder, file)), fuel, pages, elements, words === '-' ? [] : words.split(' '), input === '-' ? '' : input);
  fs.writeSync(1, name + ' ' + tier + ' ' + row + '\n');
}
