//! Logging in: SASL, then resource binding.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minidom::Element;
use sasl::client::Mechanism;
use sasl::client::mechanisms::{Plain, Scram};
use sasl::common::Credentials;
use sasl::common::scram::{Sha1, Sha256};

use crate::failure::Failure;
use crate::stanza::{self, BIND, SASL};
use crate::stream::{XmppStream, unexpected};
use crate::target::Auth;

/// Logs in; the answer is the full address the server gave us.
pub(crate) async fn log_in(stream: &mut XmppStream, auth: &Auth) -> Result<String, Failure> {
    let features = stream.open().await?;
    let mut mechanism = choose(auth, &offered(&features))?;
    let initial = BASE64_STANDARD.encode(mechanism.initial());
    stream.send(&stanza::sasl("auth", Some(mechanism.name()), &initial)).await?;
    loop {
        let next = stream.receive().await?;
        match next.name() {
            "challenge" => {
                let response = mechanism.response(&payload(&next)?).map_err(dishonest)?;
                let response = BASE64_STANDARD.encode(response);
                stream.send(&stanza::sasl("response", None, &response)).await?;
            }
            "success" => {
                mechanism.success(&payload(&next)?).map_err(dishonest)?;
                break;
            }
            "failure" => {
                let (condition, text) = stanza::condition(&next);
                return Err(Failure::LogInRefused { condition, text });
            }
            _ => return Err(unexpected(&next)),
        }
    }
    stream.open().await?;
    bind(stream).await
}

async fn bind(stream: &mut XmppStream) -> Result<String, Failure> {
    let answer = stream.ask("set", None, stanza::bind()).await?;
    let jid = answer.get_child("bind", BIND).and_then(|bind| bind.get_child("jid", BIND));
    jid.map(Element::text).ok_or_else(|| {
        let (condition, text) = stanza::stanza_error(&answer);
        Failure::LogInRefused { condition, text }
    })
}

fn offered(features: &Element) -> Vec<String> {
    features
        .get_child("mechanisms", SASL)
        .map(|list| list.children().map(Element::text).collect())
        .unwrap_or_default()
}

/// The strongest mechanism both sides have. Jitsi's token travels in the WebSocket's address, so
/// a participant with a token logs in anonymously too.
fn choose(auth: &Auth, offered: &[String]) -> Result<Box<dyn Mechanism + Send>, Failure> {
    let has = |name| offered.iter().any(|o| o == name);
    match auth {
        Auth::Anonymous | Auth::Token { .. } if has("ANONYMOUS") => Ok(Box::new(Anonymous)),
        Auth::Account { username, password } => {
            let credentials = Credentials::default()
                .with_username(username.as_str())
                .with_password(password.expose());
            if has("SCRAM-SHA-256") {
                boxed::<Scram<Sha256>>(credentials)
            } else if has("SCRAM-SHA-1") {
                boxed::<Scram<Sha1>>(credentials)
            } else if has("PLAIN") {
                boxed::<Plain>(credentials)
            } else {
                Err(no_mechanism(offered, "SCRAM or PLAIN"))
            }
        }
        Auth::Anonymous | Auth::Token { .. } => Err(no_mechanism(offered, "ANONYMOUS")),
    }
}

fn boxed<M: Mechanism + Send + 'static>(
    credentials: Credentials,
) -> Result<Box<dyn Mechanism + Send>, Failure> {
    M::from_credentials(credentials)
        .map(|mechanism| Box::new(mechanism) as Box<dyn Mechanism + Send>)
        .map_err(|e| Failure::Setup(e.to_string()))
}

fn no_mechanism(offered: &[String], wanted: &'static str) -> Failure {
    let offered = if offered.is_empty() { "none".into() } else { offered.join(", ") };
    Failure::NoMechanism { offered, wanted }
}

/// RFC 4505 without trace information.
struct Anonymous;

impl Mechanism for Anonymous {
    fn name(&self) -> &'static str {
        "ANONYMOUS"
    }

    fn from_credentials(_: Credentials) -> Result<Self, sasl::client::MechanismError> {
        Ok(Self)
    }
}

fn payload(element: &Element) -> Result<Vec<u8>, Failure> {
    let text = element.text();
    BASE64_STANDARD
        .decode(text.trim().trim_start_matches('='))
        .map_err(|e| Failure::Disconnected(format!("SASL: {e}")))
}

#[expect(clippy::needless_pass_by_value, reason = "fits map_err")]
fn dishonest(error: sasl::client::MechanismError) -> Failure {
    Failure::Disconnected(format!("Prosody does not know the password it checks: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::Secret;

    fn name(auth: &Auth, offered: &[&str]) -> Result<String, Failure> {
        let offered: Vec<String> = offered.iter().map(ToString::to_string).collect();
        choose(auth, &offered).map(|m| m.name().to_owned())
    }

    #[test]
    fn the_strongest_common_mechanism_is_chosen() {
        let account = Auth::Account { username: "u".into(), password: Secret::new("p") };
        assert_eq!(name(&account, &["PLAIN", "SCRAM-SHA-1"]).as_deref(), Ok("SCRAM-SHA-1"));
        assert_eq!(name(&account, &["PLAIN"]).as_deref(), Ok("PLAIN"));
        assert_eq!(name(&Auth::Anonymous, &["ANONYMOUS"]).as_deref(), Ok("ANONYMOUS"));
        assert_eq!(
            name(&Auth::Anonymous, &["SCRAM-SHA-1"]).unwrap_err().to_string(),
            "Prosody offers no suitable log-in: it has SCRAM-SHA-1, ANONYMOUS is needed"
        );
    }
}
