//! Endpoints given by hand, in the environment or a profile: one that is no address would be told by the
//! SDK as a request that could not be made, long after anybody thinks of it.

use anyhow::Result;
use hyper::Uri;

use crate::error::Hinted;

const VARIABLE: &str = "AWS_ENDPOINT_URL";

/// Looks at `AWS_ENDPOINT_URL` and its like for single services (`AWS_ENDPOINT_URL_EC2`), and at
/// `resolved`, which may come from the profile.
pub(super) fn check(resolved: Option<&str>) -> Result<()> {
    for (name, value) in std::env::vars_os() {
        let (Some(name), value) = (name.to_str(), value.to_string_lossy()) else { continue };
        let ours = name == VARIABLE || name.starts_with("AWS_ENDPOINT_URL_");
        if ours && !value.is_empty() && !is_address(&value) {
            return Err(refused(name, &value).into());
        }
    }
    match resolved {
        Some(url) if !is_address(url) => Err(refused("endpoint_url of the profile", url).into()),
        _ => Ok(()),
    }
}

fn is_address(url: &str) -> bool {
    let Ok(url) = url.parse::<Uri>() else { return false };
    let host = url.host().is_some_and(|host| !host.is_empty());
    host && matches!(url.scheme_str(), Some("http" | "https"))
}

fn refused(name: &str, value: &str) -> Hinted {
    Hinted::user(
        format!("{name} is `{value}`, which is no address of a service"),
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
}
