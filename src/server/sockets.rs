//! Which socket serves which address of the configuration: those that were passed to this process,
//! those that another process hands over, and for the rest new ones.

use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;

use listenfd::ListenFd;
use serde::Deserialize;
use serde::Serialize;
use socket2::Socket;

use crate::config::Config;
use crate::proxy;
use crate::proxy::BindError;
use crate::proxy::Sharing;

use super::run::Ready;

/// Why sockets that were passed to this process cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The variables contradict each other.
    #[error("the sockets that were passed to this process cannot be taken: LISTEN_FDS and LISTEN_FDNAMES do not fit")]
    Variables(#[source] io::Error),
    /// Not a stream socket of IPv4 or IPv6.
    #[error("{socket} is of the wrong kind; in a `.socket` unit, use `ListenStream=` with a port or an IP address")]
    Kind {
        /// Which one.
        socket: String,
        /// What is wrong.
        source: io::Error,
    },
    /// A connection, or a socket that nobody can connect to.
    #[error("{socket} takes no connections; in a `.socket` unit, `Accept=` must be `no`, which is its default")]
    NotListening {
        /// Which one.
        socket: String,
    },
    /// No address of the configuration is its own.
    #[error(
        "{socket} at `{address}` matches none of {configured}; change the address in the configuration or in the \
         `.socket` unit, or say which one it is with `FileDescriptorName=`"
    )]
    NoListener {
        /// Which one.
        socket: String,
        /// Its address.
        address: SocketAddr,
        /// The addresses of the configuration.
        configured: String,
    },
}

/// The sockets that were passed to this process when it was started (sd_listen_fds(3)).
#[derive(Debug, Default)]
pub struct Inherited(Vec<Passed>);

#[derive(Debug)]
struct Passed {
    socket: Socket,
    name: String,
    /// For errors.
    number: usize,
}

impl Inherited {
    /// Takes them. To be asked once, and before other threads are started: the variables that name
    /// them are removed, so that no child takes them for its own.
    ///
    /// # Errors
    /// [`SocketError`] names the first one that is not a listening TCP socket.
    pub fn from_system() -> Result<Self, SocketError> {
        // Names first, since `listenfd` removes the variables.
        let names: Vec<String> =
            sd_notify::listen_fds_with_names().map_err(SocketError::Variables)?.map(|(_, name)| name).collect();
        let mut passed = ListenFd::from_env();
        let mut sockets = Vec::new();
        for number in 0..passed.len() {
            let name = names.get(number).cloned().unwrap_or_default();
            let described = describe(number, &name);
            let kind = |source| SocketError::Kind { socket: described.clone(), source };
            let Some(socket) = passed.take_tcp_listener(number).map_err(kind)? else { continue };
            let socket = Socket::from(socket);
            if !socket.is_listener().map_err(kind)? {
                return Err(SocketError::NotListening { socket: described });
            }
            sockets.push(Passed { socket, name, number });
        }
        Ok(Self(sockets))
    }
}

fn describe(number: usize, name: &str) -> String {
    match name {
        "" | "unknown" => format!("the passed socket {number}"),
        name => format!("the passed socket {number} (`{name}`)"),
    }
}

/// Whom connections come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Role {
    Agents,
    Admin,
}

/// One address of the configuration, with what connections to it come from.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) role: Role,
    /// As configured; port 0 takes a free one.
    pub(super) configured: SocketAddr,
    pub(super) sockets: Vec<Socket>,
}

impl Place {
    /// Whether a socket at `address` serves what is configured. systemd's `ListenStream=8443` is
    /// IPv6 and takes IPv4 as well.
    fn is_served_at(&self, address: SocketAddr, only_v6: bool) -> bool {
        let every = address.ip().is_unspecified() && self.configured.ip().is_unspecified() && !only_v6;
        address == self.configured
            || every && address.is_ipv6() && self.configured.is_ipv4() && address.port() == self.configured.port()
    }

    fn is_served_by(&self, socket: &Socket) -> bool {
        let only_v6 = socket.only_v6().unwrap_or(true);
        proxy::address_of(socket).is_ok_and(|address| self.is_served_at(address, only_v6))
    }
}

/// The places of a configuration: the agents' in its order, then the admin's.
#[derive(Debug)]
pub(super) struct Sockets(Vec<Place>);

/// Sockets that take connections.
pub(super) struct Listening {
    /// For each of the agents' listeners.
    pub(super) agents: Vec<Vec<TcpListener>>,
    pub(super) admin: Vec<TcpListener>,
}

impl Listening {
    /// Where connections can come.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn addresses(&self) -> io::Result<Ready> {
        let first = |sockets: &Vec<TcpListener>| match sockets.first() {
            Some(socket) => socket.local_addr(),
            None => Err(io::Error::other("an address has no socket")),
        };
        let proxy = self.agents.iter().map(first).collect::<io::Result<_>>()?;
        Ok(Ready { proxy, admin: first(&self.admin)? })
    }
}

impl Sockets {
    /// Finds the place of each socket in `inherited`: by its name, `admin`, `listen` or `listen[1]`
    /// as in messages about the configuration, else by its address.
    ///
    /// # Errors
    /// [`SocketError::NoListener`].
    pub(super) fn new(config: &Config, inherited: Inherited) -> Result<Self, SocketError> {
        let place = |role, configured| Place { role, configured, sockets: Vec::new() };
        let agents = config.listen.iter().map(|listener| place(Role::Agents, listener.address));
        let mut places: Vec<Place> = agents.chain([place(Role::Admin, config.admin.address)]).collect();
        for Passed { socket, name, number } in inherited.0 {
            let named = match name.as_str() {
                "admin" => Some(places.len() - 1),
                "listen" => Some(0),
                _ => (0..places.len() - 1).find(|index| name == format!("listen[{index}]")),
            };
            match named.or_else(|| places.iter().position(|place| place.is_served_by(&socket))) {
                Some(index) => places[index].sockets.push(socket),
                None => {
                    let kind = |source| SocketError::Kind { socket: describe(number, &name), source };
                    let address = proxy::address_of(&socket).map_err(kind)?;
                    return Err(SocketError::NoListener {
                        socket: describe(number, &name),
                        address,
                        configured: places
                            .iter()
                            .map(|place| format!("`{}`", place.configured))
                            .collect::<Vec<_>>()
                            .join(", "),
                    });
                }
            }
        }
        Ok(Self(places))
    }

    /// Takes over what another process serves. An address that is not configured any more is
    /// served by nobody from now on.
    pub(super) fn take(&mut self, handed: Vec<Place>) {
        let mut free = vec![true; self.0.len()];
        for Place { role, configured, sockets } in handed {
            let fits = |place: &Place| {
                place.role == role
                    && (place.configured == configured || sockets.iter().any(|socket| place.is_served_by(socket)))
            };
            let found = self.0.iter_mut().zip(&mut free).find(|(place, free)| **free && fits(place));
            match found {
                Some((place, free)) => {
                    *free = false;
                    place.sockets.extend(sockets);
                }
                None => {
                    tracing::warn!(address = %configured, "this address is not configured any more; nobody serves it")
                }
            }
        }
    }

    /// Binds whatever nobody has handed in: one socket for each core, and one for the admin.
    ///
    /// # Errors
    /// [`BindError`] names the address that cannot be had.
    pub(super) fn bind_missing(&mut self, cores: usize) -> Result<(), BindError> {
        for place in self.0.iter_mut().filter(|place| place.sockets.is_empty()) {
            let (count, sharing) = match place.role {
                Role::Agents => (cores, Sharing::Cores),
                Role::Admin => (1, Sharing::Alone),
            };
            let mut address = place.configured;
            for _ in 0..count {
                let socket = proxy::bind(address, sharing)?;
                // A free port is found once; the other cores get the same.
                address = proxy::address_of(&socket).map_err(|source| BindError { address, source })?;
                place.sockets.push(socket);
            }
        }
        Ok(())
    }

    /// Copies of all sockets, for a process that takes over.
    ///
    /// # Errors
    /// The system's, if it has no more file descriptors.
    pub(super) fn copies(&self) -> io::Result<Vec<Place>> {
        let copy = |place: &Place| {
            let sockets = place.sockets.iter().map(Socket::try_clone).collect::<io::Result<_>>()?;
            Ok(Place { role: place.role, configured: place.configured, sockets })
        };
        self.0.iter().map(copy).collect()
    }

    /// Lets connections come.
    ///
    /// # Errors
    /// [`BindError`] names the address that cannot be listened on.
    pub(super) fn listen(self) -> Result<Listening, BindError> {
        let mut listening = Listening { agents: Vec::new(), admin: Vec::new() };
        for place in self.0 {
            let listeners = place.sockets.into_iter().map(proxy::listen).collect::<Result<Vec<_>, _>>()?;
            match place.role {
                Role::Agents => listening.agents.push(listeners),
                Role::Admin => listening.admin = listeners,
            }
        }
        Ok(listening)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(configured: &[&str]) -> Sockets {
        let place = |(index, address): (usize, &&str)| Place {
            role: if index + 1 == configured.len() { Role::Admin } else { Role::Agents },
            configured: address.parse().unwrap(),
            sockets: Vec::new(),
        };
        Sockets(configured.iter().enumerate().map(place).collect())
    }

    fn socket() -> Socket {
        proxy::bind("127.0.0.1:0".parse().unwrap(), Sharing::Cores).unwrap()
    }

    #[test]
    fn a_socket_serves_its_address_and_ipv6_for_all_serves_ipv4() {
        for (configured, address, only_v6, expected) in [
            ("127.0.0.1:1", "127.0.0.1:1", false, true),
            ("127.0.0.1:1", "127.0.0.1:2", false, false),
            ("127.0.0.1:1", "127.0.0.2:1", false, false),
            ("0.0.0.0:1", "127.0.0.1:1", false, false),
            ("127.0.0.1:1", "0.0.0.0:1", false, false),
            ("0.0.0.0:1", "[::]:1", false, true),
            ("0.0.0.0:1", "[::]:1", true, false),
            ("0.0.0.0:2", "[::]:1", false, false),
            ("[::]:1", "0.0.0.0:1", false, false),
            ("127.0.0.1:1", "[::]:1", false, false),
            ("[::1]:1", "[::1]:1", true, true),
        ] {
            let place = Place { role: Role::Agents, configured: configured.parse().unwrap(), sockets: Vec::new() };
            assert_eq!(place.is_served_at(address.parse().unwrap(), only_v6), expected, "{configured} {address}");
        }
    }

    #[test]
    fn what_is_handed_over_goes_to_the_same_address_and_role() {
        let mut sockets = places(&["127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"]);
        let handed = |role, configured: &str, count: usize| Place {
            role,
            configured: configured.parse().unwrap(),
            sockets: (0..count).map(|_| socket()).collect(),
        };
        sockets.take(vec![
            handed(Role::Agents, "127.0.0.1:0", 3),
            handed(Role::Agents, "127.0.0.9:9", 4),
            handed(Role::Agents, "127.0.0.1:0", 2),
            handed(Role::Admin, "127.0.0.1:0", 1),
        ]);
        let counts: Vec<usize> = sockets.0.iter().map(|place| place.sockets.len()).collect();
        assert_eq!(counts, [3, 2, 1]);
        sockets.bind_missing(8).unwrap();
        assert_eq!(sockets.0.iter().map(|place| place.sockets.len()).sum::<usize>(), 6);
        assert_eq!(sockets.copies().unwrap().len(), 3);
        let listening = sockets.listen().unwrap();
        assert_eq!((listening.agents.len(), listening.admin.len()), (2, 1));
    }

    #[test]
    fn an_address_that_was_a_free_port_is_known_by_what_it_has_become() {
        let had = socket();
        let address = proxy::address_of(&had).unwrap().to_string();
        let mut sockets = places(&[&address, "127.0.0.1:0"]);
        let configured = "127.0.0.1:0".parse().unwrap();
        sockets.take(vec![Place { role: Role::Agents, configured, sockets: vec![had] }]);
        assert_eq!(sockets.0[0].sockets.len(), 1);
    }
}
