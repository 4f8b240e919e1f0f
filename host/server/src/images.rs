//! Images that come with calls: taken out of `data:` URLs or fetched from hosts the operator allowed,
//! and decoded, within bounds on bytes, pixels, time and memory. Nothing a client writes makes this
//! server talk to a host that the operator did not name.

mod address;
mod fetch;
mod problem;
mod room;

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use signalbox_engine::{Image, ImageError, ImageLimits};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{ServerSettings, limits::DECODERS_MAX};
use address::Address;
pub(crate) use problem::{ImageProblem, ImageRefusal};
pub(crate) use room::Room;

/// Base64 as it is found: with its padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An image as a client sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Where it stands in the body: `messages[0].content[1]`.
    pub(crate) at: String,
    /// What stands there.
    pub(crate) url: String,
}

/// What all calls share about images.
pub(crate) struct Images {
    limits: ImageLimits,
    hosts: Vec<String>,
    fetch_time: Duration,
    fetchers: Semaphore,
    decoders: Arc<Semaphore>,
    /// In KiB of pixels.
    memory: Arc<Semaphore>,
}

impl Images {
    pub(crate) fn new(settings: &ServerSettings) -> Self {
        let memory = usize::try_from(settings.images.memory_bytes_max >> 10);
        Self {
            limits: ImageLimits {
                bytes_max: settings.images.bytes_max,
                pixels_max: settings.images.pixels_max,
            },
            hosts: settings.image_hosts.clone(),
            fetch_time: Duration::from_secs(settings.images.fetch_s),
            fetchers: Semaphore::new(settings.images.fetches_max),
            decoders: Arc::new(Semaphore::new(DECODERS_MAX)),
            memory: Arc::new(Semaphore::new(memory.unwrap_or(Semaphore::MAX_PERMITS))),
        }
    }

    /// Takes the images of one call, in order.
    ///
    /// # Errors
    /// The first one that is not taken.
    pub(crate) async fn take(&self, sent: Vec<Sent>) -> Result<(Vec<Image>, Room), ImageRefusal> {
        let (mut images, mut room) = (Vec::with_capacity(sent.len()), None);
        for Sent { at, url } in sent {
            let taken = self.take_one(url).await.and_then(|image| {
                grow(&mut room, self.reserve(&image)?);
                Ok(image)
            });
            images.push(taken.map_err(|problem| ImageRefusal { at, problem })?);
        }
        Ok((images, Arc::new(room)))
    }

    async fn take_one(&self, url: String) -> Result<Image, ImageProblem> {
        let limits = self.limits;
        match scheme(&url)?.as_str() {
            "data" => {
                let decode = move || Ok(Image::decode(&inline(&url, limits.bytes_max)?, &limits)?);
                aside(&self.decoders, decode).await
            }
            "http" | "https" => {
                let address = Address::read(&url, &self.hosts)?;
                let bytes = self.fetch(&address).await?;
                aside(&self.decoders, move || Ok(Image::decode(&bytes, &limits)?)).await
            }
            other => Err(ImageProblem::Url(format!("a URL of the kind '{other}:' is not read"))),
        }
    }

    /// Fetches as one of few.
    async fn fetch(&self, address: &Address) -> Result<Bytes, ImageProblem> {
        // Nobody closes this semaphore.
        let _place = self.fetchers.acquire().await.ok();
        let fetching = fetch::fetch(address, &self.hosts, self.limits.bytes_max);
        let late = |_| {
            let (host, seconds) = (format!("'{}'", address.host), self.fetch_time.as_secs());
            let why = format!("it took longer than {seconds} s");
            Err(ImageProblem::Unreachable { host, why })
        };
        timeout(self.fetch_time, fetching).await.unwrap_or_else(late)
    }

    /// Memory for one more image. Refuses instead of waiting, because calls that wait for each other's
    /// memory would wait for ever.
    fn reserve(&self, image: &Image) -> Result<OwnedSemaphorePermit, ImageProblem> {
        let kib = u32::try_from(image.rgb().len().div_ceil(1 << 10)).unwrap_or(u32::MAX);
        self.memory.clone().try_acquire_many_owned(kib).map_err(|_| ImageProblem::Full)
    }
}

fn grow(room: &mut Option<OwnedSemaphorePermit>, more: OwnedSemaphorePermit) {
    match room {
        Some(room) => room.merge(more),
        None => *room = Some(more),
    }
}

/// Does `work` on a thread that may block, as one of few. The place is held by the work itself, because
/// a client that goes away does not end it.
async fn aside<T: Send + 'static>(
    places: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, ImageProblem> + Send + 'static,
) -> Result<T, ImageProblem> {
    let broken = |why: String| ImageProblem::Unusable(ImageError::Broken(why));
    let place = places.clone().acquire_owned().await.map_err(|error| broken(error.to_string()))?;
    let done = tokio::task::spawn_blocking(move || {
        let _place = place;
        work()
    });
    done.await.unwrap_or_else(|error| Err(broken(format!("its decoder stopped: {error}"))))
}

fn scheme(url: &str) -> Result<String, ImageProblem> {
    match url.split_once(':') {
        Some((scheme, _)) if !scheme.is_empty() && scheme.len() < 16 => {
            Ok(scheme.to_ascii_lowercase())
        }
        _ => Err(ImageProblem::Url("there is no URL".to_owned())),
    }
}

/// The bytes in a `data:` URL (RFC 2397). Their type is read from themselves, not from the media type.
fn inline(url: &str, bytes_max: usize) -> Result<Vec<u8>, ImageProblem> {
    let (head, data) = url.split_once(',').unwrap_or((url, ""));
    if !head.to_ascii_lowercase().ends_with(";base64") {
        return Err(ImageProblem::Url("the data: URL does not say that it is base64".to_owned()));
    }
    let bytes = data.len() / 4 * 3;
    if bytes > bytes_max.saturating_add(bytes_max / 16) {
        // Even with line breaks in it.
        return Err(ImageError::Heavy { bytes, max: bytes_max }.into());
    }
    let breaks = data.bytes().any(|byte| byte.is_ascii_whitespace());
    let decoded = match breaks {
        true => BASE64.decode(data.split_ascii_whitespace().collect::<String>()),
        false => BASE64.decode(data),
    };
    decoded.map_err(|error| ImageProblem::Url(format!("the data: URL is not base64: {error}")))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use super::*;

    /// A white PNG, written by hand: one stored block of zlib.
    pub(crate) fn png(width: u8, height: u8) -> Vec<u8> {
        let row = [vec![0], vec![255; usize::from(width) * 3]].concat();
        let raw = row.repeat(usize::from(height));
        let size = u16::try_from(raw.len()).unwrap();
        let mut zlib = vec![0x78, 1, 1];
        zlib.extend([size.to_le_bytes(), (!size).to_le_bytes()].concat());
        zlib.extend(&raw);
        zlib.extend(adler32(&raw).to_be_bytes());
        let head = [0, 0, 0, width, 0, 0, 0, height, 8, 2, 0, 0, 0];
        let chunks = [chunk(b"IHDR", &head), chunk(b"IDAT", &zlib), chunk(b"IEND", &[])];
        [b"\x89PNG\r\n\x1a\n".to_vec(), chunks.concat()].concat()
    }

    fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
        let body = [kind.as_slice(), data].concat();
        let size = u32::try_from(data.len()).unwrap().to_be_bytes();
        [size.as_slice(), &body, &crc32(&body).to_be_bytes()].concat()
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let step = |crc: u32, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
        !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
    }

    fn adler32(bytes: &[u8]) -> u32 {
        let step = |(a, b): (u32, u32), byte: &u8| {
            let a = (a + u32::from(*byte)) % 65_521;
            (a, (b + a) % 65_521)
        };
        let (a, b) = bytes.iter().fold((1, 0), step);
        b << 16 | a
    }

    fn data_url(bytes: &[u8]) -> String {
        format!("data:image/png;base64,{}", BASE64.encode(bytes))
    }

    fn images(change: impl FnOnce(&mut ServerSettings)) -> Images {
        let mut settings = ServerSettings::default();
        change(&mut settings);
        Images::new(&settings)
    }

    fn take(images: &Images, url: &str) -> Result<(Vec<Image>, Room), ImageRefusal> {
        let sent = Sent { at: "part".to_owned(), url: url.to_owned() };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(images.take(vec![sent]))
    }

    fn refused(images: &Images, url: &str) -> String {
        take(images, url).map(|(images, _)| images).unwrap_err().to_string()
    }

    #[test]
    fn data_urls_are_decoded_with_or_without_padding_and_line_breaks() {
        let eyes = images(|_| {});
        let url = data_url(&png(3, 2));
        let broken = format!("{}\n{}", &url[..40], &url[40..]);
        for url in [url.clone(), url.trim_end_matches('=').to_owned(), broken] {
            let (images, _) = take(&eyes, &url).unwrap();
            assert_eq!((images[0].width(), images[0].height()), (3, 2));
        }
    }

    #[test]
    fn what_is_no_image_is_refused_with_its_place() {
        let eyes = images(|settings| settings.images.bytes_max = 1000);
        let check = |url: &str, word: &str| {
            let message = refused(&eyes, url);
            assert!(message.starts_with("'part': ") && message.contains(word), "{message}");
        };
        check("", "there is no URL");
        check("/etc/passwd", "there is no URL");
        check("file:///etc/passwd", "'file:' is not read");
        check("data:image/png,abc", "does not say that it is base64");
        check("data:image/png;base64,*", "is not base64");
        check("data:image/png;base64,aGVsbG8=", "neither PNG nor JPEG nor WebP");
        check(&data_url(&[0; 1200]), "1000 are taken");
    }

    #[test]
    fn memory_is_granted_once() {
        let eyes = images(|settings| settings.images.memory_bytes_max = 1 << 10);
        let url = data_url(&png(3, 2));
        let (_, room) = take(&eyes, &url).unwrap();
        assert!(refused(&eyes, &url).contains("retry later"));
        drop(room);
        assert!(take(&eyes, &url).is_ok());
    }

    /// Answers one request with these bytes.
    fn host(answer: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
            stream.write_all(&answer).unwrap();
        });
        address
    }

    fn http(status: &str, more: &str, body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{more}\r\n", body.len());
        [head.as_bytes(), body].concat()
    }

    fn fetched(answer: Vec<u8>) -> Result<Image, String> {
        let host = host(answer);
        let eyes = images(|settings| {
            settings.image_hosts = vec![host.clone()];
            settings.images.bytes_max = 1000;
        });
        let taken = take(&eyes, &format!("http://{host}/a.png"));
        taken.map(|(mut images, _)| images.remove(0)).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn an_allowed_host_is_asked_once_and_within_bounds() {
        assert_eq!(fetched(http("200 OK", "", &png(4, 2))).unwrap().width(), 4);
        let check = |answer: Vec<u8>, word: &str| {
            let message = fetched(answer).unwrap_err();
            assert!(message.contains(word), "{message}");
        };
        check(http("302 Found", "location: http://127.0.0.1:1/\r\n", b""), "don't follow");
        check(http("404 Not Found", "", b""), "404");
        check(http("200 OK", "", &[0; 2000]), "1000 are taken");
        check(http("200 OK", "", b"<html>"), "neither PNG nor JPEG nor WebP");
        check(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n1".to_vec(), "can't be fetched");
    }
}
