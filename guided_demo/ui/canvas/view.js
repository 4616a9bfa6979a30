/** Where the photo lies on the screen: screen = image * scale + offset, in CSS pixels of the stage. */

const LARGEST = 40;
const MARGIN = 8;

export class View {
  scale = 1;
  x = 0;
  y = 0;
  image = [1, 1];
  stage = [1, 1];

  get fitScale() {
    const [w, h] = this.image;
    const [across, down] = this.stage.map((length) => Math.max(length - 2 * MARGIN, 1));
    return Math.min(across / w, down / h, LARGEST);
  }

  get isFitted() {
    return this.scale <= this.fitScale * 1.001;
  }

  fit() {
    this.scale = this.fitScale;
    this.#settle();
  }

  /** Keep the fit through a change of the stage's size; a view zoomed in by hand keeps its scale. */
  resize(stage) {
    const fitted = this.isFitted;
    this.stage = stage;
    if (fitted) this.fit();
    else this.#settle();
  }

  /** Zoom by `factor`, the image point under (x, y) of the stage staying where it is. */
  zoom(factor, x = this.stage[0] / 2, y = this.stage[1] / 2) {
    const [ix, iy] = this.toImage(x, y);
    this.scale = Math.min(LARGEST, Math.max(this.fitScale, this.scale * factor));
    this.x = x - ix * this.scale;
    this.y = y - iy * this.scale;
    this.#settle();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.#settle();
  }

  toImage(x, y) {
    return [(x - this.x) / this.scale, (y - this.y) / this.scale];
  }

  toStage(x, y) {
    return [x * this.scale + this.x, y * this.scale + this.y];
  }

  contains([x, y]) {
    return x >= 0 && y >= 0 && x < this.image[0] && y < this.image[1];
  }

  /** A photo smaller than the stage is centred; a larger one covers it. */
  #settle() {
    const place = (offset, image, stage) =>
      image <= stage ? (stage - image) / 2 : Math.min(MARGIN, Math.max(stage - image - MARGIN, offset));
    this.x = place(this.x, this.image[0] * this.scale, this.stage[0]);
    this.y = place(this.y, this.image[1] * this.scale, this.stage[1]);
  }
}
