/** Numbers as people read them. */

const WHOLE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });
const TENTH = new Intl.NumberFormat('en-US', { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const HUNDREDTH = new Intl.NumberFormat('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 });

export const whole = (value: number): string => WHOLE.format(value);

/** How often the routes of a comparison took turns. */
export const roundsInWords = (rounds: number): string =>
  rounds === 1 ? 'one round' : `median of ${whole(rounds)} rounds`;

/** Three significant places or so: 1,234, 56.7, 0.42. */
export function figure(value: number): string {
  const size = Math.abs(value);
  if (size >= 100 || value === 0) return WHOLE.format(value);
  return size >= 10 ? TENTH.format(value) : HUNDREDTH.format(value);
}

const BYTE_UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'] as const;

/** In units of 1000, as link speeds are. */
export function byteCount(bytes: number): string {
  let unit = 0;
  let value = bytes;
  while (value >= 1000 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return unit === 0 ? `${whole(bytes)} bytes` : `${figure(value)} ${BYTE_UNITS[unit]}`;
}

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const;

/** A horizontal bar, `width` characters long at `most`. */
export function bar(value: number, most: number, width: number): string {
  const eighths = most <= 0 ? 0 : Math.round((value / most) * width * 8);
  return '█'.repeat(eighths >> 3) + EIGHTHS[eighths & 7];
}
