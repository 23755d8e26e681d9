// A box on a picture, in the picture's own pixels: always within it, never smaller than what the service takes.

export const SMALLEST = 16;

// Where a person might stand: upright, in the middle.
export function suggested(size) {
  const height = Math.round(0.8 * size.height);
  const width = Math.min(size.width, Math.round(height / 2));
  return within({ left: (size.width - width) / 2, top: (size.height - height) / 2, width, height }, size);
}

export function within(box, size) {
  const width = clamp(Math.round(box.width), Math.min(SMALLEST, size.width), size.width);
  const height = clamp(Math.round(box.height), Math.min(SMALLEST, size.height), size.height);
  return { left: clamp(Math.round(box.left), 0, size.width - width), top: clamp(Math.round(box.top), 0, size.height - height), width, height };
}

// Between two corners, whichever they are.
export function between(one, other, size) {
  const left = Math.min(one.x, other.x), top = Math.min(one.y, other.y);
  const right = Math.min(size.width, Math.max(one.x, other.x)), bottom = Math.min(size.height, Math.max(one.y, other.y));
  return within({ left: Math.max(0, left), top: Math.max(0, top), width: right - Math.max(0, left), height: bottom - Math.max(0, top) }, size);
}

export function moved(box, dx, dy, size) {
  return within({ ...box, left: box.left + dx, top: box.top + dy }, size);
}

// The lower right corner moves, the upper left one stays.
export function resized(box, dx, dy, size) {
  return within({ ...box, width: Math.min(box.width + dx, size.width - box.left), height: Math.min(box.height + dy, size.height - box.top) }, size);
}

export function same(one, other) {
  return one.left === other.left && one.top === other.top && one.width === other.width && one.height === other.height;
}

// The corner of a box opposite to the one that is within reach of a point, null where none is.
export function oppositeCorner(box, point, reach) {
  for (const right of [0, 1])
    for (const bottom of [0, 1]) {
      const corner = { x: box.left + right * box.width, y: box.top + bottom * box.height };
      if (Math.abs(point.x - corner.x) <= reach && Math.abs(point.y - corner.y) <= reach)
        return { x: box.left + (1 - right) * box.width, y: box.top + (1 - bottom) * box.height };
    }
  return null;
}

export function holds(box, { x, y }) {
  return x >= box.left && x <= box.left + box.width && y >= box.top && y <= box.top + box.height;
}

function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}
