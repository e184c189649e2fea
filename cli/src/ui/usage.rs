//! A command line that runs nothing: help, the version, or what is wrong with it.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write as _},
};

use clap::error::ErrorKind;
use serde_json::json;

use super::{Options, Ui};
use crate::exit::Exit;

/// Prints what clap has to say about `line`, as JSON if it asks for that; the exit code.
pub fn usage(line: &[OsString], said: &clap::Error) -> u8 {
    let exit = if said.use_stderr() { Exit::Yours } else { Exit::Done };
    let code = exit.code();
    let ui = Ui::new(Options { json: wants_json(line), ..Options::default() });
    if !ui.json() {
        // clap prints help to stdout and mistakes to stderr, coloured as each of them takes it.
        let printed = said.print().and_then(|()| io::stdout().flush());
        return match printed {
            Err(error) if !said.use_stderr() => {
                ui.output().failed(error);
                ui.close(code)
            }
            // Nobody is there to be told.
            _ => code,
        };
    }
    let text = said.render().to_string();
    match said.kind() {
        ErrorKind::DisplayHelp => ui.raw("help", &text),
        ErrorKind::DisplayVersion => ui.raw("version", text.trim_end()),
        // What follows is all of the help.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            ui.output().fail(mistake("no command was given", code));
        }
        _ => ui.output().fail(mistake(&text, code)),
    }
    ui.close(code)
}

/// Whether `--json` stands among the options: after `--` it is an argument.
pub(super) fn wants_json(line: &[OsString]) -> bool {
    line.iter().take_while(|word| *word != OsStr::new("--")).any(|word| word == "--json")
}

/// clap's message as the document of an error: its first paragraph says what is wrong.
fn mistake(text: &str, code: u8) -> serde_json::Value {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let what = lines.next().unwrap_or("the command line is incomplete");
    let details: Vec<&str> =
        lines.filter(|line| !line.starts_with("For more information")).collect();
    json!({
        "what": what.trim_start_matches("error: "),
        "details": details,
        "hint": "see `jitsi-aws --help`",
        "aws_code": null,
        "request_id": null,
        "exit_code": code,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;

    fn line(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn json_is_asked_for_by_an_option() {
        assert!(wants_json(&line(&["jitsi-aws", "plan", "--nonsense", "--json"])));
        assert!(!wants_json(&line(&["jitsi-aws", "plan", "--", "--json"])));
    }

    #[test]
    fn a_mistake_is_told_in_parts() {
        let said = Args::read(["jitsi-aws", "plan", "--regoin", "x"]).unwrap_err();
        let told = mistake(&said.render().to_string(), Exit::Yours.code());
        assert_eq!(told["what"], "unexpected argument '--regoin' found");
        assert_eq!(told["details"][0], "tip: a similar argument exists: '--region'");
    }
}
