//! Settings given on the command line or in the environment, laid over the file.

use jitsi_templates::settings::{Problem, Table};
use serde_json::{Value, map::Entry};

/// Values that beat the file's, or stand in where the file has none.
#[derive(Clone, Debug, Default)]
pub struct Overrides(Vec<Override>);

#[derive(Clone, Debug)]
struct Override {
    section: &'static str,
    key: &'static str,
    value: String,
    origin: &'static str,
    only_if_missing: bool,
}

impl Overrides {
    /// `value` beats `[section] key` of the file; `origin` names it in messages: `--region`.
    #[must_use]
    pub fn set(
        mut self,
        section: &'static str,
        key: &'static str,
        origin: &'static str,
        value: Option<String>,
    ) -> Self {
        self.0.extend(value.map(|value| Override {
            section,
            key,
            value,
            origin,
            only_if_missing: false,
        }));
        self
    }

    /// `value` stands in where the file does not set `[section] key`. For `AWS_REGION`: what happens
    /// to be set in a shell must not move a deployment.
    #[must_use]
    pub fn default_to(
        mut self,
        section: &'static str,
        key: &'static str,
        origin: &'static str,
        value: Option<String>,
    ) -> Self {
        self.0.extend(value.map(|value| Override {
            section,
            key,
            value,
            origin,
            only_if_missing: true,
        }));
        self
    }

    /// Writes the values into the file's table and tells the origins of those that stand in for what the
    /// file does not say. A section that is no table stays as it is: reading will say so.
    pub(super) fn lay_over(&self, table: &mut Table) -> Vec<&'static str> {
        let mut stood_in = Vec::new();
        for given in &self.0 {
            let section = table.entry(given.section).or_insert_with(|| Table::new().into());
            let Value::Object(section) = section else { continue };
            match section.entry(given.key) {
                Entry::Vacant(entry) => {
                    entry.insert(given.value.clone().into());
                    if given.only_if_missing {
                        stood_in.push(given.origin);
                    }
                }
                Entry::Occupied(mut entry) if !given.only_if_missing => {
                    entry.insert(given.value.clone().into());
                }
                Entry::Occupied(_) => {}
            }
        }
        stood_in
    }

    /// Names the flag instead of the file's key in problems with a value that came from a flag.
    pub(super) fn name_origins(&self, problems: &mut [Problem]) {
        for problem in problems {
            let given = self.0.iter().rfind(|given| {
                problem.key.split_once('.') == Some((given.section, given.key))
                    && problem.value == Some(Value::from(given.value.as_str()).to_string())
            });
            if let Some(given) = given {
                problem.key = given.origin.to_owned();
            }
        }
    }
}
