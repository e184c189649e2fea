//! Answers of a size that makes sense. The SDK reads each one whole before it looks at it, so what stands
//! in for AWS, a proxy's page or a mistaken address, could otherwise fill all memory.

use aws_smithy_runtime_api::{
    client::{
        http::{
            HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings,
            SharedHttpClient, SharedHttpConnector,
        },
        orchestrator::HttpRequest,
        runtime_components::RuntimeComponents,
    },
    shared::IntoShared,
};
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

/// The longest answer that is read, in bytes: many times AWS's longest.
pub const LONGEST_ANSWER: usize = 32 << 20;

/// `client`, whose answers end with an error at [`LONGEST_ANSWER`].
pub(crate) fn bounded(client: SharedHttpClient) -> SharedHttpClient {
    Bounded { inner: client }.into_shared()
}

#[derive(Clone, Debug)]
struct Bounded<T> {
    inner: T,
}

impl HttpClient for Bounded<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        Bounded { inner: self.inner.http_connector(settings, components) }.into_shared()
    }
}

impl HttpConnector for Bounded<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.inner.call(request);
        HttpConnectorFuture::new(async move {
            let limited = |body| SdkBody::from_body_1_x(Limited::new(body, LONGEST_ANSWER));
            Ok(answer.await?.map(limited))
        })
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::ConnectorError};
    use aws_smithy_types::byte_stream::ByteStream;

    use super::*;

    /// Answers with as many bytes as the request's body says.
    #[derive(Debug)]
    struct Answering;

    impl HttpConnector for Answering {
        fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
            let length = std::str::from_utf8(request.body().bytes().unwrap()).unwrap();
            let body = SdkBody::from(vec![b'x'; length.parse().unwrap()]);
            let answer = HttpResponse::new(200.try_into().unwrap(), body);
            HttpConnectorFuture::ready(Ok::<_, ConnectorError>(answer))
        }
    }

    async fn read(length: usize) -> Option<usize> {
        let inner: SharedHttpConnector = Answering.into_shared();
        let connector = Bounded { inner };
        let answer = connector.call(HttpRequest::new(length.to_string().into())).await.unwrap();
        let body = ByteStream::new(answer.into_body()).collect().await;
        body.ok().map(|bytes| bytes.into_bytes().len())
    }

    #[tokio::test]
    async fn an_answer_ends_at_the_limit() {
        assert_eq!(read(LONGEST_ANSWER).await, Some(LONGEST_ANSWER));
        assert_eq!(read(LONGEST_ANSWER + 1).await, None);
    }
}
