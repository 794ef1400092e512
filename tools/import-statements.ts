/** Finds everything that a TypeScript file imports by a literal name, with TypeScript's own parser. */
import ts from 'typescript';

export interface ImportStatement {
  readonly specifier: string;
  readonly line: number;
  /** `export … from`: hands on what another file defines. */
  readonly reExport: boolean;
}

export function importStatements(path: string, text: string): ImportStatement[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const found: ImportStatement[] = [];
  const visit = (node: ts.Node): void => {
    const specifier = importedName(node);
    if (specifier !== undefined) {
      const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
      found.push({ specifier, line, reExport: ts.isExportDeclaration(node) });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

function importedName(node: ts.Node): string | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return literal(node.moduleSpecifier);
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) return literal(node.argument.literal);
  if (ts.isCallExpression(node) && loadsModule(node.expression)) return literal(node.arguments[0]);
  return undefined;
}

/** `import(…)`, `require(…)`, `require.resolve(…)`, `import.meta.resolve(…)` */
function loadsModule(callee: ts.Expression): boolean {
  if (callee.kind === ts.SyntaxKind.ImportKeyword) return true;
  return /^(require|require\.resolve|import\.meta\.resolve)$/.test(callee.getText());
}

function literal(node: ts.Node | undefined): string | undefined {
  return node !== undefined && ts.isStringLiteralLike(node) ? node.text : undefined;
}
