//! Wired soon.
fn main() {}
