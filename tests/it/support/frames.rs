//! HTTP/2 frames by hand, for what no client library would send (RFC 9113, RFC 7541).

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::client::connect;
use super::wait::DEADLINE;

/// A connection on which only frames are known.
pub(crate) struct Frames {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With an answer of this status.
    Status(u16),
    /// It was reset with this error code.
    Reset(u32),
    /// The whole connection was given up with this error code, or closed.
    Gone(u32),
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

impl Frames {
    /// A connection to the server of this name.
    pub(crate) async fn connect(address: SocketAddr, tls: &Arc<ClientConfig>, name: &str) -> Self {
        let mut stream = connect(address, tls, &[b"h2"], name).await.unwrap();
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        let mut frames = Self { stream, buffer: Vec::new() };
        frames.send(SETTINGS, 0, 0, &[]).await;
        frames
    }

    /// Sends a request with these fields as they are, and these pieces of a body.
    pub(crate) async fn request(&mut self, stream: u32, fields: &[(&str, &str)], body: &[&[u8]]) {
        let end = if body.is_empty() { END_STREAM } else { 0 };
        self.send(HEADERS, END_HEADERS | end, stream, &block(fields)).await;
        for (index, piece) in body.iter().enumerate() {
            let end = if index + 1 == body.len() { END_STREAM } else { 0 };
            self.send(DATA, end, stream, piece).await;
        }
    }

    /// Sends the head of a request whose body is still to come.
    pub(crate) async fn head(&mut self, stream: u32, fields: &[(&str, &str)]) {
        self.send(HEADERS, END_HEADERS, stream, &block(fields)).await;
    }

    /// Sends a piece of a body, and not its end.
    pub(crate) async fn data(&mut self, stream: u32, piece: &[u8]) {
        self.send(DATA, 0, stream, piece).await;
    }

    /// Takes a request back.
    pub(crate) async fn reset(&mut self, stream: u32) {
        self.send(RESET, 0, stream, &8_u32.to_be_bytes()).await;
    }

    /// Waits for the end of a stream.
    pub(crate) async fn ended(&mut self, stream: u32) -> Ended {
        let read = async {
            loop {
                let Some((kind, flags, id, payload)) = self.next().await else { return Ended::Gone(0) };
                let code =
                    |at: usize| payload.get(at..at + 4).map_or(0, |b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]));
                match kind {
                    HEADERS if id == stream => return Ended::Status(status(&payload)),
                    RESET if id == stream => return Ended::Reset(code(0)),
                    GOAWAY => return Ended::Gone(code(4)),
                    SETTINGS if flags & ACK == 0 => self.send(SETTINGS, ACK, 0, &[]).await,
                    PING if flags & ACK == 0 => self.send(PING, ACK, 0, &payload).await,
                    _ => {}
                }
            }
        };
        tokio::time::timeout(DEADLINE, read).await.expect("the stream does not end")
    }

    async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        // A server that has given the connection up says so in what can still be read.
        let _ = self.stream.write_all(&frame).await;
        let _ = self.stream.flush().await;
    }

    async fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        self.fill(9).await?;
        let head: Vec<u8> = self.buffer.drain(..9).collect();
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        self.fill(length).await?;
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        Some((head[3], head[4], stream, self.buffer.drain(..length).collect()))
    }

    async fn fill(&mut self, length: usize) -> Option<()> {
        while self.buffer.len() < length {
            self.stream.read_buf(&mut self.buffer).await.ok().filter(|&count| count > 0)?;
        }
        Some(())
    }
}

/// Fields as literals without indexing and without Huffman coding.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        string(&mut block, name);
        string(&mut block, value);
    }
    block
}

fn string(block: &mut Vec<u8>, text: &str) {
    match text.len() {
        short @ 0..127 => block.push(u8::try_from(short).unwrap()),
        long => {
            block.push(127);
            let mut rest = long - 127;
            while rest >= 128 {
                block.push(u8::try_from(rest % 128 + 128).unwrap());
                rest /= 128;
            }
            block.push(u8::try_from(rest).unwrap());
        }
    }
    // Each character is one byte, so that any byte can be sent.
    block.extend(text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()));
}

/// The status, which stands first in a block of fields.
fn status(block: &[u8]) -> u16 {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    // The size of the table may be set before.
    let block = if block.first().is_some_and(|byte| byte & 0xe0 == 0x20) { &block[1..] } else { block };
    match block {
        [index @ 0x88..=0x8e, ..] => INDEXED[usize::from(index - 0x88)],
        [0x48 | 0x08 | 0x18, length, rest @ ..] => {
            let bytes = &rest[..usize::from(length & 0x7f)];
            let text = if length & 0x80 == 0 { bytes.iter().map(|&b| char::from(b)).collect() } else { digits(bytes) };
            text.parse().unwrap_or_else(|_| panic!("{text} is no status"))
        }
        other => panic!("no status begins with {other:x?}"),
    }
}

/// Three digits in Huffman coding: 0, 1 and 2 have five bits, the others six (RFC 7541 appendix B).
fn digits(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let mut text = String::new();
    let mut at = 0;
    while text.len() < 3 {
        let number = |length: usize| bits[at..at + length].iter().fold(0_u8, |number, bit| number << 1 | bit);
        let five = number(5);
        if five < 3 {
            text.push(char::from(b'0' + five));
            at += 5;
        } else {
            text.push(char::from(b'3' + number(6) - 0b01_1001));
            at += 6;
        }
    }
    text
}
