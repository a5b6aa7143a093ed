// Every situation in two sizes: one that fits into `make check`, and (FULL=1) the one that is claimed.
export const FULL = Boolean(process.env.FULL)
export const size = (short, full) => (FULL ? full : short)
