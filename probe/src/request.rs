//! The conference request: `POST /conference-request/v1`, which makes jicofo join the room.

use std::fmt::Display;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, SERVER};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};

use crate::connection::Connection;
use crate::failure::Failure;

/// jicofo's answer has some 200 bytes; more than this is somebody else's page.
const BODY_LIMIT: usize = 64 * 1024;

#[derive(Serialize)]
struct ConferenceRequest<'a> {
    room: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConferenceAnswer {
    ready: bool,
    focus_jid: String,
}

/// Asks for `room` (`name@conference.D`); the answer is jicofo's address.
pub(crate) async fn request_conference(
    connection: Connection,
    domain: &str,
    room: &str,
    token: Option<&str>,
) -> Result<String, Failure> {
    let body = serde_json::to_vec(&ConferenceRequest { room })
        .map_err(|e| Failure::Setup(e.to_string()))?;
    let mut request = Request::builder()
        .method(Method::POST)
        .uri("/conference-request/v1")
        .header(HOST, domain)
        .header(CONTENT_TYPE, "application/json");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    let request =
        request.body(Full::<Bytes>::from(body)).map_err(|e| Failure::Setup(e.to_string()))?;

    let (mut sender, driver) = http1::handshake(TokioIo::new(connection)).await.map_err(broken)?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, BODY_LIMIT).collect().await;
        let body = body.map_err(|error| {
            if error.is::<LengthLimitError>() {
                Failure::TooMuch("64 KiB in answer to the conference request".into())
            } else {
                broken(error)
            }
        });
        let body = body?.to_bytes();
        judge(head.status, &head.headers, &body)
    };
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        // The server may close right after its answer: what it said still counts.
        _ = driver => exchange.await,
    }
}

fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Result<String, Failure> {
    let first_line = || {
        let text = String::from_utf8_lossy(body);
        text.lines().next().unwrap_or_default().trim().to_owned()
    };
    if status != StatusCode::OK {
        return Err(Failure::RequestRefused {
            status: status.as_u16(),
            by_load_balancer: by_load_balancer(headers),
            body: first_line(),
        });
    }
    let answer: ConferenceAnswer =
        serde_json::from_slice(body).map_err(|_| Failure::RequestMisrouted(first_line()))?;
    if answer.ready { Ok(answer.focus_jid) } else { Err(Failure::NotReady) }
}

/// An Application Load Balancer that answers in its target's place signs with `awselb/2.0`.
pub(crate) fn by_load_balancer(headers: &HeaderMap) -> bool {
    headers.get(SERVER).is_some_and(|server| server.as_bytes().starts_with(b"awselb"))
}

fn broken(error: impl Display) -> Failure {
    Failure::RequestMisrouted(format!("the connection broke: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What jicofo 7ebb13d answered.
    const ANSWER: &[u8] = br#"{"room":"x@conference.meet.example.com","ready":true,"focusJid":"focus@auth.meet.example.com","properties":{"visitors-supported":"false","authentication":"false"}}"#;

    #[test]
    fn jicofos_answer_is_understood() {
        let said = judge(StatusCode::OK, &HeaderMap::new(), ANSWER);
        assert_eq!(said.as_deref(), Ok("focus@auth.meet.example.com"));
        let not_ready = String::from_utf8_lossy(ANSWER).replace("true,", "false,");
        let said = judge(StatusCode::OK, &HeaderMap::new(), not_ready.as_bytes());
        assert_eq!(said, Err(Failure::NotReady));
    }

    #[test]
    fn other_answers_are_told_apart() {
        let page = judge(StatusCode::OK, &HeaderMap::new(), b"<!DOCTYPE html>\n<html>");
        assert_eq!(page, Err(Failure::RequestMisrouted("<!DOCTYPE html>".into())));

        let mut headers = HeaderMap::new();
        headers.insert(SERVER, "awselb/2.0".parse().unwrap());
        let refused = judge(StatusCode::SERVICE_UNAVAILABLE, &headers, b"");
        assert!(matches!(
            refused,
            Err(Failure::RequestRefused { status: 503, by_load_balancer: true, .. })
        ));
    }
}
