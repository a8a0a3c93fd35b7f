//! The sockets that agents and reviewers connect to: made here, or handed in by whoever starts us.
//!
//! Binding and listening are two steps. A socket that is bound shows whether an address can be had;
//! only one that listens takes connections, and once it has taken one nobody else can serve it. So
//! nothing listens before this process is sure to serve.

use std::io;
use std::net::SocketAddr;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on `{address}`; is another program using it, or are more rights needed?")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub source: io::Error,
}

/// Whether other sockets may have the same address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// One socket for each core; the kernel spreads the connections (SO_REUSEPORT, socket(7)).
    Cores,
    /// This one only.
    Alone,
}

/// A socket that has `address`, and does not listen yet.
///
/// # Errors
/// [`BindError`] if the system says no.
pub fn bind(address: SocketAddr, sharing: Sharing) -> Result<Socket, BindError> {
    let bind = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(sharing == Sharing::Cores)?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    bind().map_err(|source| BindError { address, source })
}

/// The address that a socket has.
///
/// # Errors
/// The system's, or that it is of another kind.
pub fn address_of(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("the socket has no IP address"))
}

/// Lets connections come. A socket that listens already keeps its queue and its length.
///
/// # Errors
/// [`BindError`] if the system says no: another program may have begun to listen meanwhile.
pub fn listen(socket: Socket) -> Result<std::net::TcpListener, BindError> {
    let address = address_of(&socket).unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
    let listen = || {
        socket.set_nonblocking(true)?;
        if !socket.is_listener()? {
            socket.listen(BACKLOG)?;
        }
        Ok(())
    };
    listen().map_err(|source| BindError { address, source })?;
    Ok(socket.into())
}

/// Gives each of `cores` something to accept from, and leaves no socket without a core: each has a
/// queue of its own, and what is in it is found by nobody else. Where there are fewer sockets than
/// cores, some cores share a queue.
///
/// # Errors
/// The system's, if it has no more file descriptors.
pub fn spread(sockets: Vec<std::net::TcpListener>, cores: usize) -> io::Result<Vec<Vec<std::net::TcpListener>>> {
    let mut spread: Vec<Vec<std::net::TcpListener>> = (0..cores).map(|_| Vec::new()).collect();
    let shared: Vec<_> =
        (sockets.len()..cores).zip(sockets.iter().cycle()).map(|(_, socket)| socket.try_clone()).collect();
    let all = sockets.into_iter().map(Ok).chain(shared);
    for (index, socket) in all.enumerate() {
        if let Some(core) = spread.get_mut(index % cores.max(1)) {
            core.push(socket?);
        }
    }
    Ok(spread)
}

/// Connections that wait while all cores are busy, or while one process takes over from another.
/// The system's own limit (net.core.somaxconn) is the same nearly everywhere.
const BACKLOG: i32 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(count: usize) -> Vec<std::net::TcpListener> {
        let bind = |_| listen(bind(SocketAddr::from(([127, 0, 0, 1], 0)), Sharing::Alone).unwrap()).unwrap();
        (0..count).map(bind).collect()
    }

    #[test]
    fn every_core_accepts_and_every_queue_is_served() {
        for (count, cores) in [(1, 1), (1, 4), (2, 4), (3, 4), (4, 4), (5, 4), (8, 2), (9, 4)] {
            let sockets = sockets(count);
            let mut left: Vec<SocketAddr> = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
            let spread = spread(sockets, cores).unwrap();
            assert_eq!(spread.len(), cores);
            assert!(spread.iter().all(|core| !core.is_empty()), "{count} sockets, {cores} cores: {spread:?}");
            for socket in spread.iter().flatten() {
                let address = socket.local_addr().unwrap();
                left.retain(|&wanted| wanted != address);
            }
            assert!(left.is_empty(), "{count} sockets, {cores} cores: nobody serves {left:?}");
        }
    }

    #[test]
    fn what_is_bound_takes_no_connection_before_it_listens() {
        let socket = bind(SocketAddr::from(([127, 0, 0, 1], 0)), Sharing::Cores).unwrap();
        let address = address_of(&socket).unwrap();
        assert!(std::net::TcpStream::connect(address).is_err());
        let second = bind(address, Sharing::Cores).unwrap();
        let _listening = listen(socket).unwrap();
        assert!(std::net::TcpStream::connect(address).is_ok());
        // An inherited one may listen already, with a queue that its owner has chosen.
        listen(listen(second).unwrap().into()).unwrap();
    }

    #[test]
    fn an_address_that_others_use_is_told_before_anything_listens() {
        let taken = sockets(1).remove(0);
        let address = taken.local_addr().unwrap();
        let error = bind(address, Sharing::Cores).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot listen on `{address}`; is another program using it, or are more rights needed?")
        );
    }
}
