// How long things stand still.
export const STOPPED_MS = [50, 100, 500, 1500, 4000, 12_000]
