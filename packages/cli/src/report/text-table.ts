import { stripVTControlCharacters } from 'node:util';

export type Align = 'left' | 'right';

export interface TextTableOptions {
  /** Per column, default right. */
  readonly align?: readonly Align[];
  /** Between columns, default two spaces. */
  readonly gap?: string;
  /** In front of each line. */
  readonly indent?: string;
}

/**
 * Lines of cells in columns as wide as their widest cell. Cells may hold colours. Unlike a boxed table it stays readable
 * when it is pasted somewhere, and can be cut with `awk`.
 */
export function textTable(rows: readonly (readonly string[])[], options: TextTableOptions = {}): string {
  const { align = [], gap = '  ', indent = '' } = options;
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries())
      widths[column] = Math.max(widths[column] ?? 0, displayWidth(cell));
  }
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => {
        const space = ' '.repeat((widths[column] ?? 0) - displayWidth(cell));
        return (align[column] ?? 'right') === 'left' ? cell + space : space + cell;
      })
      .join(gap);
  return rows.map((row) => `${`${indent}${line(row)}`.trimEnd()}\n`).join('');
}

/** Characters a cell takes on the screen. */
export const displayWidth = (text: string): number => [...stripVTControlCharacters(text)].length;
