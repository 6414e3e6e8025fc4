"""The rules of a transparency log: hashes, proofs, tiles, notes, entries; no database, no HTTP, no broker."""
