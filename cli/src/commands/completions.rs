//! `completions` and `man`: made from the same definition as `--help`.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use clap::{Arg, Command};
use clap_complete::Shell;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::Env;
use crate::{args::Args, exit::Exit};

const NAME: &str = "jitsi-aws";

pub(super) fn completions(env: &Env, shell: Shell) -> Result<Exit> {
    env.ui.raw("completions", &script(shell)?);
    Ok(Exit::Done)
}

fn script(shell: Shell) -> Result<String> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::definition(), NAME, &mut script);
    let script = String::from_utf8(script).context("writing the completions")?;
    Ok(match shell {
        // clap_complete spells a program's name with a hyphen in two ways, so that nothing is completed
        // behind its commands (clap issue 6421).
        Shell::Bash => script.replace("jitsi__subcmd__aws", "jitsi__aws"),
        Shell::Fish => script + &arguments_for_fish(&Args::definition()),
        _ => script,
    })
}

/// What may stand behind a command other than options: `clap_complete` leaves that to fish, which would offer
/// files.
fn arguments_for_fish(definition: &Command) -> String {
    let mut lines = String::new();
    for command in definition.get_subcommands() {
        let arguments = command.get_positionals().flat_map(Arg::get_possible_values);
        for value in arguments.filter(|value| !value.is_hide_set()) {
            let about = value.get_help().map(ToString::to_string).unwrap_or_default();
            let about = about.replace('\'', "\\'");
            let (command, value) = (command.get_name(), value.get_name());
            let when = format!("__fish_jitsi_aws_using_subcommand {command}");
            // Writing to a string cannot fail.
            let _ =
                writeln!(lines, "complete -c {NAME} -n \"{when}\" -f -a '{value}' -d '{about}'");
        }
    }
    lines
}

pub(super) fn man(env: &Env) -> Result<Exit> {
    let page = page().context("rendering the manual page")?;
    env.ui.raw("man", &page);
    Ok(Exit::Done)
}

/// One page that cites no others: the program, then each command with its own options.
fn page() -> Result<String> {
    let definition = Args::definition();
    let whole = Man::new(definition.clone()).manual("Jitsi Meet on AWS");
    let mut page = Vec::new();
    whole.render_title(&mut page)?;
    whole.render_name_section(&mut page)?;
    whole.render_synopsis_section(&mut page)?;
    whole.render_description_section(&mut page)?;
    whole.render_options_section(&mut page)?;
    Roff::new().control("SH", ["COMMANDS"]).to_writer(&mut page)?;
    commands(&definition, NAME, &mut page)?;
    let after = definition.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut examples = Roff::new();
    // As it is laid out: lines are not to be run together.
    examples.control("SH", ["EXAMPLES AND EXIT STATUS"]).control("nf", []);
    for line in after.lines() {
        examples.text([roman(line)]);
    }
    examples.control("fi", []).to_writer(&mut page)?;
    whole.render_version_section(&mut page)?;
    Ok(String::from_utf8(page)?)
}

/// Each command below `parent`, which is typed as `path`, those below it after it.
fn commands(parent: &Command, path: &str, page: &mut Vec<u8>) -> Result<()> {
    for command in parent.get_subcommands().filter(|command| !command.is_hide_set()) {
        let path = format!("{path} {}", command.get_name());
        let mut usage = command.clone().bin_name(&path).disable_help_flag(true);
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let mut aliases: Vec<&str> = command.get_visible_aliases().collect();
        aliases.sort_unstable();
        let mut text = Roff::new();
        text.control("SS", [path.as_str()]);
        text.text([bold(usage.render_usage().to_string().trim_start_matches("Usage: "))]);
        text.control("PP", []);
        text.text([roman(format!("{about}."))]);
        if !aliases.is_empty() {
            text.text([roman(format!("Also: {}.", aliases.join(", ")))]);
        }
        text.to_writer(page)?;
        if usage.get_arguments().next().is_some() {
            let mut options = Vec::new();
            Man::new(usage.disable_help_subcommand(true)).render_options_section(&mut options)?;
            // The heading is the whole page's; here they follow the command's words.
            let options = String::from_utf8(options)?;
            page.extend(options.replace(".SH OPTIONS\n", "").bytes());
        }
        commands(command, &path, page)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_cites_no_page_but_its_own() {
        let page = page().unwrap();
        assert!(!page.contains("(1)"), "{page}");
        for command in ["jitsi-aws setup delete", "jitsi-aws ha-test", "jitsi-aws init"] {
            assert!(page.contains(&format!(".SS \"{command}\"")), "{command} in\n{page}");
        }
        assert!(page.contains("\\-\\-keep\\-iam"), "{page}");
    }
}
