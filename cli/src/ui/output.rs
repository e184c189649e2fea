//! Stdout: text as it comes, or one JSON document at the end; what it does not take is not lost quietly.

use std::io::{self, ErrorKind, Write};

use serde_json::{Value, json};

use super::SCHEMA;

/// What was written, or is kept to be.
#[derive(Debug, Default)]
pub(super) struct Output {
    document: Option<Value>,
    failed: Option<io::Error>,
    closed: bool,
}

impl Output {
    /// Writes text at once. A run goes on where nobody reads: what it makes is worth more than its words.
    pub(super) fn write(&mut self, text: &[u8]) {
        if self.failed.is_none() {
            self.failed = io::stdout().write_all(text).err();
        }
    }

    /// Notes that somebody else could not write to it.
    pub(super) fn failed(&mut self, error: io::Error) {
        self.failed.get_or_insert(error);
    }

    /// Keeps the document of a run.
    pub(super) fn keep(&mut self, kind: &str, result: &Value) {
        self.document = Some(json!({ "schema": SCHEMA, "kind": kind, "result": result }));
    }

    /// Puts an error in its place. What was to be told otherwise is told as `so_far`.
    pub(super) fn fail(&mut self, mut report: Value) {
        if let Some(document) = self.document.take() {
            report["so_far"] = json!({ "kind": document["kind"], "result": document["result"] });
        }
        self.keep("error", &report);
    }

    /// Prints the document, if there is one, and sees all of it off.
    pub(super) fn close(&mut self) -> io::Result<()> {
        // Ctrl-C may come while the end is being told: one of the two comes first.
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        if let Some(document) = self.document.take() {
            self.write(format!("{document:#}\n").as_bytes());
        }
        match self.failed.take() {
            Some(error) => Err(error),
            None => io::stdout().flush(),
        }
    }
}

/// What is said when stdout did not take everything.
pub(super) fn failure(mark: &str, error: &io::Error) -> String {
    let why = match error.kind() {
        ErrorKind::BrokenPipe => "whoever read it has gone".to_owned(),
        ErrorKind::StorageFull => "the disk is full".to_owned(),
        _ => error.to_string(),
    };
    format!("{mark} the result could not be written to stdout: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_takes_the_documents_place_and_carries_it() {
        let mut output = Output::default();
        output.keep("delete", &json!({ "deleted": 3 }));
        output.fail(json!({ "what": "2 are left" }));
        let document = output.document.unwrap();
        assert_eq!(document["kind"], "error");
        assert_eq!(document["result"]["what"], "2 are left");
        assert_eq!(document["result"]["so_far"]["kind"], "delete");
        assert_eq!(document["result"]["so_far"]["result"]["deleted"], 3);
    }
}
