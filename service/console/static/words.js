// Numbers and times as words. Times are shown where the reader is: the page says which time zone that is.

const DAY = { day: "numeric", month: "short" };
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
const short = new Intl.DateTimeFormat("en-GB", { ...DAY, ...CLOCK });
const long = new Intl.DateTimeFormat("en-GB", { ...DAY, ...CLOCK, year: "numeric", weekday: "short" });
const clockOnly = new Intl.DateTimeFormat("en-GB", CLOCK);
const dayAndMonth = new Intl.DateTimeFormat("en-GB", DAY);
const dayOnly = new Intl.DateTimeFormat("en-GB", { ...DAY, year: "numeric", weekday: "short" });

export const timeZone = new Intl.DateTimeFormat().resolvedOptions().timeZone;
export const number = (value) => value.toLocaleString("en-GB");
export const moment = (iso) => short.format(new Date(iso));
export const fullMoment = (iso) => long.format(new Date(iso));
export const clock = (iso) => clockOnly.format(new Date(iso));
export const shortDay = (iso) => dayAndMonth.format(new Date(iso));
export const day = (iso) => dayOnly.format(new Date(iso));

export function decimal(value, digits = 2) {
  return value.toFixed(digits).replace("-", "−");
}

export function count(value, one, many = `${one}s`) {
  return `${number(value)} ${value === 1 ? one : many}`;
}

// How long something took: "24 s", "3 min", "2 h 5 min", "3 days".
export function span(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return count(Math.round(hours / 24), "day");
}

// "a", "a and b", "a, b and c".
export function listed(words) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

export function natural(one, other) {
  return one.localeCompare(other, "en", { numeric: true });
}
