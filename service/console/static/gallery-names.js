// What a file's name says of its crop, in the forms that `vantage index --pattern` knows.

const MARKET = /(?:^|\/)(?<person>-1|\d{4})_(?<camera>c\d)s(?<sequence>\d)_(?<frame>\d{6,7})_\d{2}(?:\.jpg)?\.\w+$/;
const NOBODY = ["-1", "0000"];
const GROUPS = ["id", "camera", "person", "tracklet", "time", "frame"];
const TIME = /^(\d{4})-?(\d\d)-?(\d\d)(?:[T_ -]?(\d\d)[:-]?(\d\d)(?:[:-]?(\d\d)(?:[.,](\d{1,9}))?)?)?(Z|[+-]\d\d:?\d\d)?$/i;

export const READINGS = {
  none: "Nothing: its name is its id",
  market1501: "As Market-1501: 0002_c1s1_000451_03.jpg",
  pattern: "By a pattern of your own",
};

// From a path to {id, ...facts of the item}. What cannot be read is an error with a sentence.
export function readingOf(kind, pattern) {
  if (kind === "market1501") return market;
  return kind === "pattern" ? byPattern(pattern) : (path) => ({ id: path });
}

function market(path) {
  const found = MARKET.exec(path)?.groups;
  if (!found) throw new Error("The name is not as Market-1501 names them.");
  const { person, camera, sequence, frame } = found;
  const somebody = NOBODY.includes(person) ? {} : { person, tracklet_id: `${person}_${camera}s${sequence}` };
  return { id: path.replace(/\.\w+$/, ""), camera_id: camera, ...somebody, metadata: { frame: Number(frame) } };
}

function byPattern(text) {
  let pattern;
  try {
    pattern = new RegExp(text.replaceAll("(?P<", "(?<"));
  } catch (error) {
    throw new Error(`The pattern is no regular expression: ${error.message}.`);
  }
  const named = [...pattern.source.matchAll(/\(\?<([A-Za-z_]\w*)>/g)].map(([, name]) => name);
  const unknown = named.find((name) => !GROUPS.includes(name));
  if (unknown) throw new Error(`The pattern has a group ${unknown}: groups are called ${GROUPS.join(", ")}.`);
  if (!named.length)
    throw new Error("The pattern has no named group, so it says nothing of a picture: write for instance (?<person>\\d+)_.");
  return (path) => {
    const found = pattern.exec(path);
    if (!found) throw new Error("The pattern does not match the name.");
    const { id = path, camera, person, tracklet, time, frame } = found.groups;
    const facts = { camera_id: camera, person, tracklet_id: tracklet, captured_at: time && parseTime(time),
      metadata: frame && { frame: Number(frame) } };
    return { id, ...Object.fromEntries(Object.entries(facts).filter(([, value]) => value)) };
  };
}

// ISO 8601, also without its marks, or seconds since 1970. What names no zone is taken as the reader's own time.
export function parseTime(text) {
  if (/^\d{9,10}(\.\d*)?$/.test(text)) return new Date(1000 * Number(text)).toISOString();
  const [, year, month, day, hour = "00", minute = "00", second = "00", fraction = "0", zone = ""] = TIME.exec(text) ?? [];
  const thousandths = fraction.padEnd(3, "0").slice(0, 3), shift = zone.replace(/^(...)(\d\d)$/, "$1:$2").toUpperCase();
  const date = new Date(year ? `${year}-${month}-${day}T${hour}:${minute}:${second}.${thousandths}${shift}` : NaN);
  if (Number.isNaN(date.valueOf())) throw new Error(`A time is "${text}": it is read as 2026-05-01T12:30:00Z, also without the marks.`);
  return date.toISOString();
}
