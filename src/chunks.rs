//! Observers of streams of chunks.

use std::future::Future;

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};

use crate::error::Result;
use crate::store::ByteStream;

/// Observes the chunks of a stream before they are passed on, and can refuse them.
pub trait ChunkObserver: Send + 'static {
    /// Observes the next chunk. After an error the stream ends with it, and the chunk is not passed on.
    fn chunk(&mut self, chunk: &Bytes) -> impl Future<Output = Result<()>> + Send;

    /// Observes the regular end of the stream. An error becomes its last item.
    fn end(&mut self) -> impl Future<Output = Result<()>> + Send {
        std::future::ready(Ok(()))
    }
}

/// The stream, observed. The observer is dropped when the stream ends.
pub fn observed(stream: ByteStream, observer: impl ChunkObserver) -> ByteStream {
    Box::pin(stream::try_unfold((stream, observer), |(mut stream, mut observer)| async move {
        match stream.try_next().await? {
            Some(chunk) => {
                observer.chunk(&chunk).await?;
                Ok(Some((chunk, (stream, observer))))
            }
            None => observer.end().await.map(|()| None),
        }
    }))
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;
    use crate::error::Error;

    struct AtMost(usize);

    impl ChunkObserver for AtMost {
        async fn chunk(&mut self, chunk: &Bytes) -> Result<()> {
            self.0 = self.0.checked_sub(chunk.len()).ok_or(Error::TooLarge { limit: 5 })?;
            Ok(())
        }

        async fn end(&mut self) -> Result<()> {
            if self.0 == 0 { Ok(()) } else { Err(Error::UploadIncomplete) }
        }
    }

    async fn collected(chunks: &[&'static [u8]]) -> (Vec<Bytes>, Option<Error>) {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk))).collect();
        let mut stream = observed(Box::pin(stream::iter(chunks)), AtMost(5));
        let (mut passed, mut error) = (Vec::new(), None);
        while let Some(item) = stream.next().await {
            assert!(error.is_none(), "nothing follows an error");
            match item {
                Ok(chunk) => passed.push(chunk),
                Err(found) => error = Some(found),
            }
        }
        (passed, error)
    }

    #[tokio::test]
    async fn a_refused_chunk_is_not_passed_on_and_ends_the_stream() {
        assert!(matches!(collected(&[b"abc", b"de"]).await, (passed, None) if passed == ["abc", "de"]));
        let (passed, error) = collected(&[b"abc", b"def", b"g"]).await;
        assert_eq!(passed, ["abc"]);
        assert!(matches!(error, Some(Error::TooLarge { .. })));
        let (passed, error) = collected(&[b"abc"]).await;
        assert_eq!(passed, ["abc"]);
        assert!(matches!(error, Some(Error::UploadIncomplete)));
    }
}
