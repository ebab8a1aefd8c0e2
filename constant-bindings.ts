import type { Options } from 'tsup';
import ts from 'typescript';

type Plugin = NonNullable<Options['plugins']>[number];

/**
 * A tsup plugin: what esbuild made a `var` of and nothing assigns to again is a `const` once more.
 *
 * When it bundles, esbuild turns every `const` and `class` of a module into a `var`, which V8 may not treat as constant:
 * on a hot path each use of a number, of a member of an `as const` object, of a class is a load and a check. With `const`
 * the optimizing compiler has the value itself. What a bundle exports stays a load; its own code is what gains.
 *
 * The order of evaluation is the modules' own, so nothing is read before its declaration that the sources do not read so.
 */
export function constantBindings(): Plugin {
  return {
    name: 'constant-bindings',
    renderChunk(code) {
      return { code: withConstantBindings(code) };
    },
  };
}

/** `code`, a bundled module, with `const X=` for `var X = `: as long as before, so that a source map stays true. */
export function withConstantBindings(code: string): string {
  const module = ts.createSourceFile('module.js', code, ts.ScriptTarget.Latest, false, ts.ScriptKind.JS);
  const variable = variableNames(module);
  let result = '';
  let end = 0;
  for (const statement of module.statements) {
    if (!ts.isVariableStatement(statement)) continue;
    const [declaration, another] = statement.declarationList.declarations;
    if (!declaration?.initializer || another || !ts.isIdentifier(declaration.name)) continue;
    const name = declaration.name.text;
    const start = statement.getStart(module);
    const spelled = `var ${name} = `;
    if (variable.has(name) || !code.startsWith(spelled, start)) continue;
    result += `${code.slice(end, start)}const ${name}=`;
    end = start + spelled.length;
  }
  return result + code.slice(end);
}

/** Every name that something is assigned to or that is declared twice, in whatever scope: rather one too many. */
function variableNames(module: ts.SourceFile): Set<string> {
  const names = new Set<string>();
  const declared = new Set<string>();
  const declare = (name: ts.BindingName) => {
    if (ts.isIdentifier(name)) {
      if (declared.has(name.text)) names.add(name.text);
      declared.add(name.text);
    } else ts.forEachChild(name, (element) => void (ts.isBindingElement(element) && declare(element.name)));
  };
  const assign = (target: ts.Node) => {
    if (ts.isIdentifier(target)) names.add(target.text);
    else if (!ts.isPropertyAccessExpression(target) && !ts.isElementAccessExpression(target))
      ts.forEachChild(target, assign);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isBinaryExpression(node) && isAssignment(node.operatorToken.kind)) assign(node.left);
    else if (ts.isPostfixUnaryExpression(node)) assign(node.operand);
    else if (ts.isPrefixUnaryExpression(node) && isStep(node.operator)) assign(node.operand);
    else if (ts.isForInStatement(node) || ts.isForOfStatement(node)) assign(node.initializer);
    else if (ts.isVariableDeclarationList(node) && (node.flags & ts.NodeFlags.BlockScoped) === 0)
      for (const { name } of node.declarations) declare(name);
    else if (ts.isFunctionDeclaration(node) && node.name) declare(node.name);
    ts.forEachChild(node, visit);
  };
  visit(module);
  return names;
}

function isAssignment(operator: ts.BinaryOperator): boolean {
  return operator >= ts.SyntaxKind.FirstAssignment && operator <= ts.SyntaxKind.LastAssignment;
}

function isStep(operator: ts.PrefixUnaryOperator): boolean {
  return operator === ts.SyntaxKind.PlusPlusToken || operator === ts.SyntaxKind.MinusMinusToken;
}
