//! Endpoints given by hand, in the environment or a profile: one that is no address would be told by the
//! SDK as a request that could not be made, long after anybody thinks of it.

use std::sync::RwLock;

use anyhow::Result;
use hyper::Uri;

use crate::error::Hinted;

const VARIABLE: &str = "AWS_ENDPOINT_URL";
const OF_PROFILE: &str = "endpoint_url of the profile";

/// What the profile says, as far as a connection was made with it.
static OF_THE_PROFILE: RwLock<Option<String>> = RwLock::new(None);

/// Where calls go by somebody's own choice: what says so, and the addresses.
pub(crate) fn by_hand() -> Vec<(String, String)> {
    let mut chosen: Vec<(String, String)> = of_environment().collect();
    let general = chosen.iter().any(|(name, _)| name == VARIABLE);
    let profile = OF_THE_PROFILE.read().ok().and_then(|url| url.clone());
    // The environment beats the profile.
    if let Some(url) = profile.filter(|_| !general) {
        chosen.push((OF_PROFILE.to_owned(), url));
    }
    chosen.sort();
    chosen
}

fn of_environment() -> impl Iterator<Item = (String, String)> {
    let named = std::env::vars_os().filter_map(|(name, value)| {
        let ours = name == VARIABLE || name.to_str()?.starts_with("AWS_ENDPOINT_URL_");
        Some((name.to_str()?.to_owned(), value.to_string_lossy().into_owned())).filter(|_| ours)
    });
    named.filter(|(_, url)| !url.is_empty())
}

/// Looks at `AWS_ENDPOINT_URL` and its like for single services (`AWS_ENDPOINT_URL_EC2`), and at
/// `resolved`, which may come from the profile.
pub(super) fn check(resolved: Option<&str>) -> Result<()> {
    if let Some((name, url)) = of_environment().find(|(_, url)| !is_address(url)) {
        return Err(refused(&name, &url).into());
    }
    if let Ok(mut known) = OF_THE_PROFILE.write() {
        *known = resolved.map(str::to_owned);
    }
    match resolved {
        Some(url) if !is_address(url) => Err(refused(OF_PROFILE, url).into()),
        _ => Ok(()),
    }
}

fn is_address(url: &str) -> bool {
    let Ok(url) = url.parse::<Uri>() else { return false };
    let host = url.host().is_some_and(|host| !host.is_empty());
    host && matches!(url.scheme_str(), Some("http" | "https"))
}

/// An address as it may be shown: without user and password, which end at the last `@`.
pub(crate) fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    if scheme.is_empty() { rest.to_owned() } else { format!("{scheme}://{rest}") }
}

fn refused(name: &str, value: &str) -> Hinted {
    let value = shown(value);
    Hinted::user(
        format!("{name} is `{value}`, which is not the address of a service"),
        format!("unset {name} to reach AWS itself, or set it to https://HOST or http://HOST:PORT"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        for url in ["http://127.0.0.1:5000", "https://ec2.eu-central-1.amazonaws.com/"] {
            assert!(is_address(url), "{url}");
        }
        for url in ["banana", "localhost:5000", "ftp://host", "http://", "https:///x", "a b"] {
            assert!(!is_address(url), "{url}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for (url, told) in [
            ("http://user:pw@127.0.0.1:1/x", "http://127.0.0.1:1/x"),
            ("http://user:p/w@w@host", "http://host"),
            ("user:pw@host", "host"),
            ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ] {
            assert_eq!(shown(url), told);
        }
        assert!(!refused("AWS_ENDPOINT_URL", "ftp://user:pw@host").to_string().contains("pw"));
    }
}
