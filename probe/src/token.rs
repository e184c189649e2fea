//! The JSON Web Token a participant shows where Jitsi wants one. Twenty lines over ring's HMAC,
//! which the TLS stack brings anyway; the JWT crates bring RSA and elliptic curves along.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::hmac;
use serde::Serialize;

use crate::failure::Failure;
use crate::target::Secret;

/// Longer than any probe, short enough to be worthless afterwards.
const LIFETIME_SECONDS: u64 = 120;

/// How far Prosody's clock may be behind ours.
const CLOCK_SKEW_SECONDS: u64 = 60;

/// The claims Jitsi's `token` authentication checks (handbook, `token-authentication.md`).
#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    iss: &'a str,
    sub: &'a str,
    room: &'a str,
    nbf: u64,
    exp: u64,
}

/// Signs a token (HS256) for `room`, the bare name, on `domain`.
pub(crate) fn mint(
    app_id: &str,
    app_secret: &Secret,
    domain: &str,
    room: &str,
    now: SystemTime,
) -> Result<String, Failure> {
    let setup = |e: &dyn std::fmt::Display| Failure::Setup(format!("minting a token: {e}"));
    let now = now.duration_since(UNIX_EPOCH).map_err(|e| setup(&e))?.as_secs();
    let claims = serde_json::to_vec(&Claims {
        aud: app_id,
        iss: app_id,
        sub: domain,
        room,
        nbf: now.saturating_sub(CLOCK_SKEW_SECONDS),
        exp: now + LIFETIME_SECONDS,
    })
    .map_err(|e| setup(&e))?;

    let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", encode(br#"{"alg":"HS256","typ":"JWT"}"#), encode(&claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, app_secret.expose().as_bytes());
    let signature = hmac::sign(&key, signed.as_bytes());
    Ok(format!("{signed}.{}", encode(signature.as_ref())))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_token_is_for_one_room_and_a_short_time() {
        let now = UNIX_EPOCH + Duration::from_secs(1_795_210_660);
        let token = mint("app", &Secret::new("s"), "meet.example.com", "r", now).unwrap();
        let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
            panic!("three parts")
        };
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap();
        assert_eq!(
            String::from_utf8(claims).unwrap(),
            r#"{"aud":"app","iss":"app","sub":"meet.example.com","room":"r","nbf":1795210600,"exp":1795210780}"#
        );
        // The well-known header, and the signature Python's `hmac` gives.
        assert_eq!(header, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9");
        assert_eq!(signature, "MewvJyCNax6OjG2adXODFj-gl_SHdK71dNjxtwcBBrI");
    }
}
