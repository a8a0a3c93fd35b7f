//! One process takes the place of another without a connection being refused.
//!
//! A socket that listens has a queue of connections, and closing the last descriptor of it resets
//! them all: that another process listens at the same address (SO_REUSEPORT) does not help those. So
//! the successor gets descriptors of the very same sockets, over a Unix socket in the store's folder:
//!
//! 1. the successor reads its configuration, policies, keys and certificates, and only then connects;
//! 2. it gets the sockets, and binds what is new in its configuration; until here nothing has
//!    changed, and if it ends the running process never notices;
//! 3. it says `drain`: the running process accepts no more, ends its calls within its time to drain,
//!    lets go of store and log, and ends, which closes the connection between the two;
//! 4. the successor opens store and log and accepts. Meanwhile connections wait in the queues.
//!
//! Both must run as the same user.

use std::io;
use std::io::IoSlice;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::net::RecvAncillaryBuffer;
use rustix::net::RecvAncillaryMessage;
use rustix::net::RecvFlags;
use rustix::net::ReturnFlags;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendAncillaryMessage;
use rustix::net::SendFlags;
use serde::Deserialize;
use serde::Serialize;
use socket2::Domain;
use socket2::SockAddr;
use socket2::Socket;
use socket2::Type;
use tokio::sync::mpsc;

use super::sockets::Place;
use super::sockets::Role;

/// Why nothing can be taken over.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// It is there, and is not to be talked to.
    #[error("the running process cannot be asked for its sockets at `{path}`; nothing has changed")]
    Ask {
        /// Where it listens for us.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is stuck, or busy with another successor.
    #[error(
        "the running process has not answered at `{path}` within {seconds} s; nothing has changed; end it with SIGTERM \
         or SIGKILL and start again"
    )]
    Mute {
        /// Where it listens for us.
        path: PathBuf,
        /// How long it had.
        seconds: u64,
    },
    /// It was told to drain, and is still there.
    #[error(
        "the process {pid} was told to stop, and has not ended within {seconds} s; it accepts no connections any more; \
         end it with SIGKILL and start again"
    )]
    Stuck {
        /// Its process id.
        pid: u32,
        /// How long it had.
        seconds: u64,
    },
}

/// What the running process says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Offered {
    pid: u32,
    /// How long it takes to drain at most.
    drain_seconds: u64,
    places: Vec<OfferedPlace>,
}

#[derive(Debug, Serialize, Deserialize)]
struct OfferedPlace {
    role: Role,
    configured: std::net::SocketAddr,
    sockets: usize,
}

/// The running process's side: listens for a successor.
pub(super) struct Offer {
    path: PathBuf,
    shared: Arc<Shared>,
    successors: mpsc::Receiver<Successor>,
}

struct Shared {
    listener: Socket,
    drain: Duration,
    /// Empty once there is nothing to be had any more.
    places: Mutex<Vec<Place>>,
}

/// A process that waits until this one has ended. Keep it as long as store and log are open.
pub(super) struct Successor {
    pub(super) pid: u32,
    _connection: Socket,
}

impl Offer {
    /// Offers copies of all sockets to whoever comes. `folder` must be locked by this process.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn make(folder: &Path, places: Vec<Place>, drain: Duration) -> io::Result<Self> {
        let path = path(folder);
        let listener = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        listener.bind(&SockAddr::unix(&path)?)?;
        listener.listen(SUCCESSORS_MAX)?;
        let shared = Arc::new(Shared { listener, drain, places: Mutex::new(places) });
        let (found, successors) = mpsc::channel(1);
        let answering = Arc::clone(&shared);
        std::thread::Builder::new().name("hand-over".to_owned()).spawn(move || answering.answer(&found))?;
        Ok(Self { path, shared, successors })
    }

    /// Waits for a process that has the sockets and wants this one to end.
    pub(super) async fn taken(&mut self) -> Successor {
        match self.successors.recv().await {
            Some(successor) => successor,
            None => std::future::pending().await,
        }
    }

    /// Nothing is to be had any more. Without it the sockets would take connections for as long as
    /// this process lives.
    pub(super) fn withdraw(mut self) {
        // First, so that whoever listens for successors knows why it hears nothing more.
        self.successors.close();
        self.shared.places.lock().clear();
        // Both fail only if it is gone already.
        let _ = self.shared.listener.shutdown(std::net::Shutdown::Both);
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Shared {
    fn answer(&self, found: &mpsc::Sender<Successor>) {
        loop {
            let peer = match self.listener.accept() {
                Ok((peer, _)) => peer,
                Err(_) if found.is_closed() => return,
                Err(error) => {
                    tracing::warn!(%error, "a process that wants to take over cannot be heard");
                    std::thread::park_timeout(PAUSE);
                    continue;
                }
            };
            match self.converse(peer) {
                // One is enough: this process is about to end.
                Ok(Some(successor)) => return drop(found.blocking_send(successor)),
                Ok(None) => tracing::info!("a process has looked at the sockets and does not take over"),
                Err(error) => tracing::warn!(%error, "a process that wants to take over was not served"),
            }
        }
    }

    fn converse(&self, peer: Socket) -> io::Result<Option<Successor>> {
        let pid = same_user(&peer)?;
        peer.set_read_timeout(Some(ANSWERS_WITHIN))?;
        peer.set_write_timeout(Some(ANSWERS_WITHIN))?;
        {
            let places = self.places.lock();
            let offered = Offered {
                pid: std::process::id(),
                drain_seconds: self.drain.as_secs() + 1,
                places: places
                    .iter()
                    .map(|place| OfferedPlace {
                        role: place.role,
                        configured: place.configured,
                        sockets: place.sockets.len(),
                    })
                    .collect(),
            };
            send(&peer, &serde_json::to_vec(&offered)?, &[])?;
            let sockets: Vec<BorrowedFd<'_>> =
                places.iter().flat_map(|place| &place.sockets).map(Socket::as_fd).collect();
            for some in sockets.chunks(SOCKETS_AT_ONCE) {
                send(&peer, b"sockets", some)?;
            }
        }
        match receive(&peer)?.0.as_slice() {
            b"drain" => Ok(Some(Successor { pid, _connection: peer })),
            _ => Ok(None),
        }
    }
}

/// The successor's side: a process that runs, and its sockets.
pub(super) struct Predecessor {
    pub(super) pid: u32,
    drains_within: Duration,
    connection: Socket,
}

impl Predecessor {
    /// Asks whoever has locked `folder` for its sockets. `None` if nobody answers there.
    ///
    /// # Errors
    /// [`TakeOverError`]; the running process goes on.
    pub(super) fn ask(folder: &Path) -> Result<Option<(Self, Vec<Place>)>, TakeOverError> {
        let path = path(folder);
        let asked = Self::receive(&path);
        match asked {
            Ok(answer) => Ok(Some(answer)),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
                // Nor can anybody have offered anything there.
                io::ErrorKind::InvalidInput => Ok(None),
                io::ErrorKind::WouldBlock => Err(TakeOverError::Mute { path, seconds: ANSWERS_WITHIN.as_secs() }),
                _ => Err(TakeOverError::Ask { path, source: error }),
            },
        }
    }

    fn receive(path: &Path) -> io::Result<(Self, Vec<Place>)> {
        let connection = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        connection.set_read_timeout(Some(ANSWERS_WITHIN))?;
        connection.set_write_timeout(Some(ANSWERS_WITHIN))?;
        connection.connect(&SockAddr::unix(path)?)?;
        same_user(&connection)?;
        let (text, _) = receive(&connection)?;
        if text.is_empty() {
            return Err(io::Error::other("it has hung up; it may be about to stop"));
        }
        let offered: Offered = serde_json::from_slice(&text)?;
        let wanted: usize = offered.places.iter().map(|place| place.sockets).sum();
        let mut sockets = Vec::new();
        while sockets.len() < wanted {
            let (text, some) = receive(&connection)?;
            if text.is_empty() || some.is_empty() {
                return Err(io::Error::other(format!("{} sockets came instead of {wanted}", sockets.len())));
            }
            sockets.extend(some.into_iter().map(Socket::from));
        }
        let mut sockets = sockets.into_iter();
        let places = offered.places.into_iter().map(|OfferedPlace { role, configured, sockets: count }| Place {
            role,
            configured,
            sockets: sockets.by_ref().take(count).collect(),
        });
        let places = places.collect();
        let drains_within = Duration::from_secs(offered.drain_seconds.min(DRAIN_MAX.as_secs())) + RELEASES_WITHIN;
        Ok((Self { pid: offered.pid, drains_within, connection }, places))
    }

    /// Tells it to drain, and waits until it has ended.
    ///
    /// # Errors
    /// [`TakeOverError::Stuck`] if it does not.
    pub(super) fn replace(&self) -> Result<(), TakeOverError> {
        let stuck = |_| TakeOverError::Stuck { pid: self.pid, seconds: self.drains_within.as_secs() };
        self.connection.set_read_timeout(Some(self.drains_within)).map_err(stuck)?;
        // If it has ended meanwhile nothing is in our way.
        let _ = send(&self.connection, b"drain", &[]);
        match receive(&self.connection) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(stuck(error)),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("hand-over")
}

/// The process id of the other side, if it runs as the same user.
fn same_user(peer: &Socket) -> io::Result<u32> {
    let credentials = rustix::net::sockopt::socket_peercred(peer)?;
    if credentials.uid != rustix::process::geteuid() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("the other process runs as the user {}; both must run as the same", credentials.uid.as_raw()),
        ));
    }
    Ok(credentials.pid.as_raw_nonzero().get().unsigned_abs())
}

fn send(to: &Socket, bytes: &[u8], sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_AT_ONCE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)) {
        return Err(io::Error::other("too many sockets for one message"));
    }
    rustix::net::sendmsg(to, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// One message; an empty one means that the other side has hung up.
fn receive(from: &Socket) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = vec![0; MESSAGE_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_AT_ONCE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received =
        rustix::net::recvmsg(from, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::other("a message is too long, or this process may not have so many open files"));
    }
    bytes.truncate(received.bytes);
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            sockets.extend(some);
        }
    }
    Ok((bytes, sockets))
}

/// A process that runs as it should answers at once.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// After its calls have ended a process writes what is left into store and log.
const RELEASES_WITHIN: Duration = Duration::from_secs(15);

/// Nobody waits longer than this for another's calls, whatever it says.
const DRAIN_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Below what Linux takes (SCM_MAX_FD, unix(7)).
const SOCKETS_AT_ONCE: usize = 64;

/// Some hundred addresses.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Processes that wait while another one is answered.
const SUCCESSORS_MAX: i32 = 4;

const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy;
    use crate::proxy::Sharing;

    fn places(counts: &[usize]) -> Vec<Place> {
        let configured = "127.0.0.1:0".parse().unwrap();
        let socket = |_| proxy::bind(configured, Sharing::Alone).unwrap();
        let place =
            |&count: &usize| Place { role: Role::Agents, configured, sockets: (0..count).map(socket).collect() };
        counts.iter().map(place).collect()
    }

    fn addresses(places: &[Place]) -> Vec<Vec<std::net::SocketAddr>> {
        let of = |place: &Place| place.sockets.iter().map(|socket| proxy::address_of(socket).unwrap()).collect();
        places.iter().map(of).collect()
    }

    #[tokio::test]
    async fn the_same_sockets_arrive_however_many_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let places = places(&[1, 0, 150]);
        let expected = addresses(&places);
        let mut offer = Offer::make(folder.path(), places, Duration::from_secs(3)).unwrap();
        // Whoever only looks changes nothing.
        for _ in 0..2 {
            let (predecessor, handed) = Predecessor::ask(folder.path()).unwrap().unwrap();
            assert_eq!((predecessor.pid, addresses(&handed)), (std::process::id(), expected.clone()));
        }
        let (predecessor, _) = Predecessor::ask(folder.path()).unwrap().unwrap();
        let replacing = std::thread::spawn(move || predecessor.replace());
        let successor = offer.taken().await;
        assert_eq!(successor.pid, std::process::id());
        offer.withdraw();
        assert!(!replacing.is_finished(), "it did not wait");
        drop(successor);
        replacing.join().unwrap().unwrap();
        assert!(Predecessor::ask(folder.path()).unwrap().is_none());
    }

    #[test]
    fn nobody_answers_where_nobody_is_and_where_somebody_was() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Predecessor::ask(folder.path()).unwrap().is_none());
        let offer = Offer::make(folder.path(), places(&[1]), Duration::ZERO).unwrap();
        let path = offer.path.clone();
        offer.shared.listener.shutdown(std::net::Shutdown::Both).unwrap();
        drop(offer);
        assert!(path.exists(), "what a crash leaves behind");
        // What is left of a crash is no obstacle.
        let _offer = Offer::make(folder.path(), places(&[1]), Duration::ZERO).unwrap();
        assert!(Predecessor::ask(folder.path()).unwrap().is_some());
    }

    #[tokio::test]
    async fn one_that_does_not_end_is_not_waited_for_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let mut offer = Offer::make(folder.path(), places(&[1]), Duration::from_secs(30)).unwrap();
        let (mut predecessor, _) = Predecessor::ask(folder.path()).unwrap().unwrap();
        assert_eq!(predecessor.drains_within, Duration::from_secs(31) + RELEASES_WITHIN);
        predecessor.drains_within = Duration::from_millis(50);
        let replacing = std::thread::spawn(move || predecessor.replace());
        let _successor = offer.taken().await;
        assert!(matches!(replacing.join().unwrap(), Err(TakeOverError::Stuck { .. })));
    }

    #[test]
    fn a_folder_whose_name_is_too_long_for_a_unix_socket_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let long = folder.path().join("x".repeat(120));
        std::fs::create_dir(&long).unwrap();
        assert!(Offer::make(&long, places(&[1]), Duration::ZERO).is_err());
        assert!(Predecessor::ask(&long).unwrap().is_none());
    }
}
