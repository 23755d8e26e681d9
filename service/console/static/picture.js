// A picture that somebody gave: its size as it is seen (upright), and whether it looks like a crop of one person.

const WIDEST_CROP = 0.75;

// {width, height}, or null where the browser cannot decode it: the service then says what is wrong with it.
export async function sizeOf(blob) {
  try {
    const bitmap = await createImageBitmap(blob, { imageOrientation: "from-image" });
    const size = { width: bitmap.width, height: bitmap.height };
    bitmap.close();
    return size;
  } catch {
    return null;
  }
}

// Crops of people are tall. Of anything wider, a person is better cut out first.
export function isWide(size) {
  return size !== null && size.width > WIDEST_CROP * size.height;
}
