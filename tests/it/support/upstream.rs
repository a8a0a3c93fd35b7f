//! An upstream that records, byte by byte, what it receives.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;

/// One request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// Request line and fields, up to the empty line.
    pub(crate) head: String,
    /// The body with whatever frames it.
    pub(crate) body: Vec<u8>,
}

/// The upstream; its threads end with the test process.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    gate: Arc<Gate>,
}

/// Keeps answers back until the test lets them go.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Upstream {
    /// Starts it on a free port.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let (shared, gate) = (Arc::clone(&received), Arc::new(Gate::default()));
        let kept_back = Arc::clone(&gate);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (shared, gate) = (Arc::clone(&shared), Arc::clone(&kept_back));
                std::thread::spawn(move || drop(serve(&stream, &shared, &gate)));
            }
        });
        Self { address, received, gate }
    }

    /// Lets the answers of `kept-back` go, from now on.
    pub(crate) fn release(&self) {
        *self.gate.open.lock().unwrap() = true;
        self.gate.opened.notify_all();
    }

    /// All that it has received so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// How many requests to paths that begin with `prefix` it has received.
    pub(crate) fn count(&self, prefix: &str) -> usize {
        self.received().iter().filter(|received| received.target().starts_with(prefix)).count()
    }
}

impl Received {
    /// Path and query.
    pub(crate) fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The last segment of the path, which says how the upstream behaves.
    fn act(&self) -> &str {
        let path = self.target().split('?').next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }

    /// The values of a field.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }
}

fn serve(stream: &TcpStream, log: &Mutex<Vec<Received>>, gate: &Gate) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader)? {
        log.lock().unwrap().push(request.clone());
        if request.act() == "kept-back" {
            drop(gate.opened.wait_while(gate.open.lock().unwrap(), |open| !*open).unwrap());
        }
        if !answer(&request, &mut reader, stream)? {
            break;
        }
    }
    Ok(())
}

fn read(reader: &mut impl BufRead) -> std::io::Result<Option<Received>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    let mut request = Received { head, body: Vec::new() };
    if request.act() == "early" {
        // Answered before its body is there.
        return Ok(Some(request));
    }
    if request.act() == "sink" {
        // Told apart by its length and hash, for bodies that would fill the memory of the tests.
        request.body = drain(&request, reader)?.into_bytes();
    } else if request.values("transfer-encoding") == ["chunked"] {
        read_chunks(reader, &mut request.body)?;
    } else if let Some(length) = request.values("content-length").first() {
        request.body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut request.body)?;
    }
    Ok(Some(request))
}

fn drain(request: &Received, reader: &mut impl BufRead) -> std::io::Result<String> {
    let mut hasher = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let (mut total, mut piece) = (0, vec![0; 64 * 1024]);
    let chunked = request.values("transfer-encoding") == ["chunked"];
    let mut left: usize = request.values("content-length").first().map_or(0, |length| length.parse().unwrap());
    loop {
        if left == 0 && chunked {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            left = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
        }
        if left == 0 {
            break;
        }
        while left > 0 {
            let count = left.min(piece.len());
            reader.read_exact(&mut piece[..count])?;
            hasher.update(&piece[..count]);
            (total, left) = (total + count, left - count);
        }
        if chunked {
            reader.read_exact(&mut [0; 2])?;
        } else {
            break;
        }
    }
    if chunked {
        while {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            line != "\r\n"
        } {}
    }
    let hash: String = hasher.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{total} sha256:{hash}"))
}

fn read_chunks(reader: &mut impl BufRead, into: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        let start = into.len();
        reader.read_until(b'\n', into)?;
        let line = String::from_utf8_lossy(&into[start..]).trim().to_owned();
        let size = usize::from_str_radix(&line, 16).map_err(std::io::Error::other)?;
        if size == 0 {
            break;
        }
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk)?;
        into.extend(chunk);
    }
    // Trailer fields, then an empty line.
    loop {
        let start = into.len();
        reader.read_until(b'\n', into)?;
        if into[start..] == *b"\r\n" {
            return Ok(());
        }
    }
}

/// Behaves as the path says; false ends the connection.
fn answer(request: &Received, reader: &mut impl Read, mut stream: &TcpStream) -> std::io::Result<bool> {
    match request.act() {
        "dies" => return Ok(false),
        "early" => {
            respond(stream, "413 Content Too Large", "Connection: close\r\n", b"early")?;
            return Ok(false);
        }
        "half" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")?;
            return Ok(false);
        }
        "pauses" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nthe first half")?;
            let _ = reader.read(&mut [0])?;
            return Ok(false);
        }
        "switches" => {
            stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n")?;
            return Ok(false);
        }
        "large" => {
            stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes())?;
            let piece = vec![b'x'; 64 * 1024];
            (0..LARGE / piece.len()).try_for_each(|_| stream.write_all(&piece))?;
        }
        "hangs" => {
            // Until the proxy has had enough.
            let _ = reader.read(&mut [0])?;
            return Ok(false);
        }
        "echo" => respond(stream, "200 OK", "Content-Type: text/plain\r\n", request.head.as_bytes())?,
        "echoes-fields" => {
            let credential = request.values("authorization").first().map_or("", |value| value).to_owned();
            respond(stream, "200 OK", &format!("X-Echo: {credential}\r\nAuthorization: {credential}\r\n"), b"seen")?;
        }
        "hops" => {
            let fields = "Connection: x-mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nAlt-Svc: h3=\":1\"\r\n\
                          Approval-Status: approved\r\nX-Kept: yes\r\n";
            respond(stream, "200 OK", fields, b"hops")?;
        }
        "trailers" => stream.write_all(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum, host\r\n\r\n\
              3\r\none\r\n3\r\ntwo\r\n0\r\nX-Sum: 6\r\nHost: evil\r\n\r\n",
        )?,
        "socket" => {
            stream.write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            )?;
            let mut buffer = [0; 1024];
            loop {
                let count = reader.read(&mut buffer)?;
                if count == 0 {
                    return Ok(false);
                }
                stream.write_all(&buffer[..count])?;
            }
        }
        "missing" => respond(stream, "404 Not Found", "", b"nothing here")?,
        _ => respond(stream, "200 OK", "Content-Type: application/json\r\n", b"{\"fine\":true}")?,
    }
    Ok(true)
}

fn respond(mut stream: &TcpStream, status: &str, fields: &str, body: &[u8]) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{fields}\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat())
}

/// The length of the answer at `large`.
pub(crate) const LARGE: usize = 48 << 20;
