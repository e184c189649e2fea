//! The agent's own HTTP server on loopback: the public verdict and the details, both from memory.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::advice::Advice;
use crate::board::Board;

/// What nginx passes on to the load balancer: 200 or 503, and which part is missing.
pub const HEALTH_PATH: &str = "/healthz";
/// What nginx asks before it shows a visitor the page: 200 or 503, without a body.
const READY_PATH: &str = "/ready";
/// Everything the agent knows, for `jitsi-agent status`; nginx does not pass it on.
pub const STATUS_PATH: &str = "/status";

/// A client that does not finish its request within this time is left.
const HEADER_LIMIT: Duration = Duration::from_secs(5);

/// Listens on `address`.
pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        Advice::new(
            format!("listening on {address}"),
            format!("ss -ltnp 'sport = :{}'", address.port()),
        )
    })
}

/// Answers until the program ends. Never waits for anything but the client.
pub async fn serve(listener: TcpListener, board: Board) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!("accepting a connection: {error}");
                // Only a shortage of file descriptors comes here, and it needs time to pass.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let board = board.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(&request, &board);
                async move { Ok::<_, Infallible>(response) }
            });
            // A client that goes away early is its own affair.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_LIMIT)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn answer(request: &Request<Incoming>, board: &Board) -> Response<Full<Bytes>> {
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, HEALTH_PATH) => {
            let (kept, body) = board.public();
            (if kept { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, body)
        }
        (&Method::GET | &Method::HEAD, READY_PATH) => {
            let open = board.is_open();
            (if open { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, String::new())
        }
        (&Method::GET, STATUS_PATH) => (StatusCode::OK, board.details()),
        _ => (StatusCode::NOT_FOUND, "{}".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
