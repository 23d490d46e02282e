// Somebody who has news, and those who want to hear of them.

/** Keeps listeners; one that throws does not keep the others from hearing. */
export class News {
  #hearers = new Set();

  /** Calls `hear(news)` from now on; returns a function that ends that. */
  watch(hear) {
    this.#hearers.add(hear);
    return () => this.#hearers.delete(hear);
  }

  /** Tells all. */
  tell(news) {
    for (const hear of [...this.#hearers]) {
      try {
        hear(news);
      } catch (error) {
        reportError(error);
      }
    }
  }
}
