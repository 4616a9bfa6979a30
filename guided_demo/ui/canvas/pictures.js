/** The pictures of photos, asked for as large as they are wanted; those of the photos opened last are there at once. */

const LARGE = 2048;
const MOST_KEPT = 8;

export class Pictures {
  #kept = new Map(); // key -> Image, the one used last at the end

  /** `read(message)` asks the server. */
  constructor({ read }) {
    this.read = read;
  }

  /** The picture that is there of a photo, or null. */
  kept(key) {
    const picture = this.#kept.get(key) ?? null;
    if (picture) this.#keep(key, picture);
    return picture;
  }

  /** The picture of a photo, its longer side at most `edge`; null where it cannot be read or is no longer wanted. */
  async load(key, edge = LARGE) {
    const { photos } = await this.read({ do: "photos", keys: [key], edge });
    const picture = photos?.[key] && (await loadImage(photos[key]));
    if (picture && edge === LARGE) this.#keep(key, picture); // in all their pixels they would fill the memory
    return picture ?? null;
  }

  #keep(key, picture) {
    this.#kept.delete(key);
    this.#kept.set(key, picture);
    if (this.#kept.size > MOST_KEPT) this.#kept.delete(this.#kept.keys().next().value);
  }
}

export async function loadImage(source) {
  const image = new Image();
  image.src = source;
  return image.decode().then(
    () => image,
    () => null, // short of memory, say; the photo can be opened again
  );
}
