//! The rendered files, judged by the programs' own languages.
#![expect(clippy::unwrap_used, reason = "a helper of a test may panic")]

mod fixture;
mod golden; // every file in every mode, as reviewed
mod hocon_keys; // upstream knows every key
mod hostile; // no value changes a file's structure
mod parse;
mod site; // what the files must say
