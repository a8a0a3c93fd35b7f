//! Sockets that come from systemd, and what it is told. Whoever passes them here does it as systemd
//! does; see `deploy/systemd`.

use std::io::Read;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;

use crate::support::DEADLINE;
use crate::support::Program;
use crate::support::World;
use crate::support::eventually;

/// A deployment at the addresses of two sockets, which nobody serves yet.
fn stopped_at(agents: &TcpListener, admin: &TcpListener) -> World {
    let mut world = World::start();
    world.program.kill();
    (world.proxy, world.admin) = (agents.local_addr().unwrap(), admin.local_addr().unwrap());
    world
}

fn address(agents: &TcpListener, world: &World, admin: &TcpListener) {
    world.configure("admin:\n  address: 127.0.0.1:0", &format!("admin:\n  address: {}", admin.local_addr().unwrap()));
    world.configure("- address: 127.0.0.1:0", &format!("- address: {}", agents.local_addr().unwrap()));
}

fn bind() -> TcpListener {
    TcpListener::bind(("127.0.0.1", 0)).unwrap()
}

fn arguments(world: &World) -> [String; 3] {
    ["serve".to_owned(), "--config".to_owned(), world.path("holdpoint.yaml").to_str().unwrap().to_owned()]
}

fn start(world: &World, sockets: Vec<std::os::fd::OwnedFd>, names: &str) -> Program {
    let arguments = arguments(world);
    Program::start_passing(sockets, names, &arguments.each_ref().map(String::as_str))
}

#[tokio::test]
async fn connections_made_while_nobody_runs_are_served_once_somebody_does() {
    let (agents, admin) = (bind(), bind());
    let mut world = stopped_at(&agents, &admin);
    address(&agents, &world, &admin);
    let mut ended = None;
    for round in 0..3 {
        let callers: Vec<_> = (0..20).map(|call| world.get(&format!("/open/{round}-{call}")).spawn()).collect();
        let held = world.get(&format!("/held/{round}")).spawn();
        let sockets = vec![agents.try_clone().unwrap().into(), admin.try_clone().unwrap().into()];
        let program = start(&world, sockets, "holdpoint.socket:holdpoint.socket");
        ended = Some(world.succeed(program));
        assert_eq!((world.proxy, world.admin), (agents.local_addr().unwrap(), admin.local_addr().unwrap()));
        for caller in callers {
            assert_eq!(caller.await.unwrap().status, 200);
        }
        let item = world.held(&format!("/held/{round}")).await;
        world.approve("ana", &item).await;
        assert_eq!(held.await.unwrap().status, 200);
        world.program.signal("TERM");
        assert_eq!(world.program.ended().code(), Some(0), "{}", world.program.log());
    }
    drop(ended);
    assert_eq!(world.upstream.count("/open"), 60);
    world.verify();
}

#[tokio::test]
async fn sockets_are_found_by_name_too() {
    let (agents, admin) = (bind(), bind());
    let mut world = stopped_at(&agents, &admin);
    // The configuration says port 0, which no socket has.
    let sockets = vec![admin.try_clone().unwrap().into(), agents.try_clone().unwrap().into()];
    let program = start(&world, sockets, "admin:listen[0]");
    world.succeed(program);
    assert_eq!((world.proxy, world.admin), (agents.local_addr().unwrap(), admin.local_addr().unwrap()));
    assert_eq!(world.get("/open/a").send().await.status, 200);
    assert_eq!(world.approvals("").await.len(), 0);
}

#[tokio::test]
async fn every_queue_of_an_address_is_served() {
    // As `ReusePort=` makes them: two sockets at one address, more than enough calls for both.
    let socket = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket
    };
    let (one, two) = (socket(), socket());
    one.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    two.bind(&one.local_addr().unwrap()).unwrap();
    one.listen(128).unwrap();
    two.listen(128).unwrap();
    let mut world = World::start();
    world.program.kill();
    world.proxy = one.local_addr().unwrap().as_socket().unwrap();
    world.configure("threads: 2", "threads: 1");
    world.configure("- address: 127.0.0.1:0", &format!("- address: {}", world.proxy));
    let callers: Vec<_> = (0..40).map(|call| world.get(&format!("/open/{call}")).spawn()).collect();
    let program = start(&world, vec![one.into(), two.into()], "a:b");
    world.succeed(program);
    for caller in callers {
        assert_eq!(caller.await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn sockets_of_no_use_are_told() {
    let (agents, admin) = (bind(), bind());
    let world = stopped_at(&agents, &admin);
    address(&agents, &world, &admin);
    let other = bind();
    let connected = TcpStream::connect(other.local_addr().unwrap()).unwrap();
    let unix = std::os::unix::net::UnixListener::bind(world.path("unix")).unwrap();
    for (socket, name, expected) in [
        (other.try_clone().unwrap().into(), "other.socket", "matches none of"),
        (other.try_clone().unwrap().into(), "listen[7]", "matches none of"),
        (UdpSocket::bind(("127.0.0.1", 0)).unwrap().into(), "", "is of the wrong kind; in a `.socket` unit"),
        (unix.into(), "holdpoint.socket", "is of the wrong kind; in a `.socket` unit"),
        (connected.into(), "listen", "takes no connections; in a `.socket` unit, `Accept=` must be `no`"),
    ] {
        let mut program = start(&world, vec![socket], name);
        assert_eq!(program.ended().code(), Some(1));
        let log = program.log();
        assert!(log.contains(expected) && log.contains("the passed socket 0"), "{name}: {log}");
        if expected.contains("matches") {
            for address in [&other, &agents, &admin] {
                assert!(log.contains(&address.local_addr().unwrap().to_string()), "{log}");
            }
        }
    }
}

#[tokio::test]
async fn systemd_is_told_how_it_goes() {
    let mut world = World::start();
    world.program.kill();
    let socket = UnixDatagram::bind(world.path("notify")).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let path = world.path("notify");
    let variables = [("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "100000")];
    let arguments = arguments(&world);
    let program = Program::start_with(&arguments.each_ref().map(String::as_str), &variables);
    let heard = |wanted: &str| {
        let mut all = String::new();
        while !all.contains(wanted) {
            let mut buffer = [0; 1024];
            let count = socket.recv(&mut buffer).unwrap();
            all.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        all
    };
    assert!(!heard("READY=1").contains("RELOADING"));
    world.succeed(program);
    heard("WATCHDOG=1");
    world.program.signal("HUP");
    assert!(heard("RELOADING=1").contains("MONOTONIC_USEC=") || heard("READY=1").contains("MONOTONIC_USEC="));
    world.program.signal("TERM");
    heard("STOPPING=1");
    assert_eq!(world.program.ended().code(), Some(0));
}

#[tokio::test]
async fn a_plain_stop_leaves_nobody_waiting_at_a_closed_door() {
    let world = World::start();
    let running = tokio::spawn(world.get("/open/hangs").try_send());
    eventually("the call at the upstream", || async { (world.upstream.count("/open/hangs") == 1).then_some(()) }).await;
    world.program.signal("TERM");
    world.program.logged_text("stopping", 0);
    // Others behind the same name may serve them; here nobody comes any more.
    eventually("the door to be closed", || async { TcpStream::connect(world.proxy).err() }).await;
    assert_eq!(running.await.unwrap().unwrap().code(), "upstream-timeout");
    let mut nothing = String::new();
    assert!(TcpStream::connect(world.proxy).and_then(|mut stream| stream.read_to_string(&mut nothing)).is_err());
}
