//! user-data with hostile values, read by Python itself.

use std::io::Write as _;
use std::process::{Command, Stdio};

use jitsi_templates::{UserData, user_data};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::fixture::settings;
use crate::have;

/// Prints each script's constants and how many statements it has.
const READ: &str = r"
import ast, json, sys
for line in sys.stdin:
    tree, found = ast.parse(json.loads(line)), {}
    for node in tree.body:
        if isinstance(node, ast.Assign):
            names = [n.id for n in ast.walk(node.targets[0]) if isinstance(n, ast.Name)]
            try: values = ast.literal_eval(node.value)
            except ValueError: continue
            found.update(zip(names, values if isinstance(values, tuple) else [values]))
    print(json.dumps([found, len(list(ast.walk(tree)))]))
";

#[test]
fn every_value_arrives_as_it_was() {
    if !have(&["python3"], "apt-get install python3") {
        return;
    }
    let mut runner = TestRunner::deterministic();
    let strategy = r#"([a-z]|["'\\$\{\}%#\r\n\t\u{2028}\u{85}ä😀]|"""|\\N|\\u|\PC){0,12}"#;
    let mut values: Vec<String> = vec!["plain".into()];
    values.extend((0..300).map(|_| strategy.new_tree(&mut runner).unwrap().current()));
    let settings = |text: &str| {
        let mut settings = settings(&json!({}));
        settings.launch_hook = text.into();
        settings.region = text.into();
        settings
    };
    let mut input = String::new();
    for text in &values {
        let settings = settings(text);
        let data =
            UserData { bucket: text, account: text, key: text, sha256: text, settings: &settings };
        let script = user_data(&data).unwrap();
        assert!(script.is_ascii());
        input += &serde_json::to_string(&script).unwrap();
        input.push('\n');
    }

    let mut python = Command::new("python3")
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = python.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());

    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), values.len());
    let nodes = &answers[0][1];
    for (text, answer) in values.iter().zip(&answers) {
        for name in ["BUCKET", "KEY", "OWNER", "REGION", "SHA256"] {
            assert_eq!(answer[0][name], *text, "{name}");
        }
        assert_eq!(answer[0]["CONFIG"], settings(text).to_json().unwrap());
        assert_eq!(answer[1], *nodes, "another structure with {text:?}");
    }
}
