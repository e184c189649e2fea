//! Which proxy the environment names: `https_proxy`, else `all_proxy`, and in `no_proxy` what is asked
//! directly; in lower case before upper case, as the AWS CLI reads them. An address may hold a password,
//! so nothing here prints more of it than host and port.

use std::fmt;

use aws_smithy_http_client::proxy::ProxyConfig;

/// This machine needs no proxy to reach itself.
pub(crate) const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";

/// An HTTP proxy that tunnels to AWS (`CONNECT`).
#[derive(Clone)]
pub struct Proxy {
    /// Host and port, without user and password.
    place: String,
    config: ProxyConfig,
}

/// A variable that names no proxy we can use.
#[derive(Debug, thiserror::Error)]
#[error("{variable} is not the address of an HTTP proxy")]
pub struct BadProxy {
    variable: String,
}

impl BadProxy {
    /// What to type.
    pub fn hint(&self) -> String {
        let variable = &self.variable;
        format!(
            "`export {variable}=http://HOST:PORT`, or `http://USER:PASSWORD@HOST:PORT` with `@`, `:`, `/` \
             and `%` in user and password as %40, %3A, %2F and %25; or `unset {variable}`"
        )
    }
}

impl Proxy {
    /// The proxy for `https://` that the environment names, if it names one.
    pub fn of_environment() -> Result<Option<Self>, BadProxy> {
        Self::named(|variable| std::env::var(variable).ok(), LOOPBACK)
    }

    pub(crate) fn named(
        variable: impl Fn(&str) -> Option<String>,
        never: &str,
    ) -> Result<Option<Self>, BadProxy> {
        // Set and empty says none, whatever a later one says.
        let first = |names: &[&str]| {
            let found = names.iter().find_map(|name| Some((*name, variable(name)?)));
            found.map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        };
        let named = first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]);
        let Some((variable, value)) = named.filter(|(_, value)| !value.is_empty()) else {
            return Ok(None);
        };
        let url = if value.contains("://") { value } else { format!("http://{value}") };
        let authority = authority(&url);
        let place = authority.rsplit('@').next().unwrap_or_default().to_owned();
        // What else follows a first `@` would be taken for the host.
        let good = authority.matches('@').count() <= 1 && has_good_port(&place);
        // The crate's own error may quote what it cannot read.
        let config = ProxyConfig::https(url).ok().filter(|_| good);
        let direct = first(&["no_proxy", "NO_PROXY"]).map(|(_, hosts)| hosts).unwrap_or_default();
        match config {
            Some(config) => {
                Ok(Some(Self { place, config: config.no_proxy(format!("{never},{direct}")) }))
            }
            None => Err(BadProxy { variable }),
        }
    }

    pub(crate) fn config(&self) -> ProxyConfig {
        self.config.clone()
    }
}

/// `user:password@host:port`.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

fn has_good_port(place: &str) -> bool {
    let after_address = place.rsplit(']').next().unwrap_or_default();
    after_address.split_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_ok())
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Result<Option<String>, BadProxy> {
        let find = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Proxy::named(find, LOOPBACK).map(|proxy| proxy.map(|proxy| format!("{proxy} {proxy:?}")))
    }

    #[test]
    fn the_environment_is_read_as_the_aws_cli_reads_it() {
        let one = Some("p:3128 Proxy(p:3128)".to_owned());
        for (variables, expected) in [
            (vec![], None),
            (vec![("HTTP_PROXY", "http://p:3128")], None),
            (vec![("HTTPS_PROXY", "http://p:3128")], one.clone()),
            (vec![("https_proxy", " http://p:3128/ "), ("HTTPS_PROXY", "http://q")], one.clone()),
            (vec![("https_proxy", ""), ("HTTPS_PROXY", "http://q")], None),
            (vec![("ALL_PROXY", "p:3128")], one.clone()),
            (vec![("HTTPS_PROXY", "http://user:secret@p:3128")], one.clone()),
            (vec![("HTTPS_PROXY", "user:sec%40ret@p:3128")], one),
            (vec![("HTTPS_PROXY", "https://[::1]:3")], Some("[::1]:3 Proxy([::1]:3)".into())),
        ] {
            assert_eq!(of(&variables).unwrap(), expected, "{variables:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_its_variable_and_never_shown() {
        for value in [
            "socks5://user:secret@p:1080",
            "http://",
            "http://user:secret@p:port",
            "http://user:secret@p:99999",
            "http://user:sec ret@p:3128",
            "http://user:se@cret@p:3128",
            "user:secret",
        ] {
            let error = of(&[("https_proxy", value)]).unwrap_err();
            let said = format!("{error} {error:?} {}", error.hint());
            assert!(said.contains("`export https_proxy=http://HOST:PORT`"), "{said}");
            assert!(!said.contains("secret") && !said.contains("sec ret"), "{said}");
        }
    }
}
