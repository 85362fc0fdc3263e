//! What a server costs that nobody asks: it sleeps, and holds little, however many blocks, sockets and processors there are.
//!
//! With `COREDNS` the same is measured of CoreDNS, beside it and at the same time.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

use std::fs;
use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use rollcall_testing::{PATIENCE, Server, answer, command, coredns, folder, free_port, queries, skip, wait_for};

/// Eight server blocks, each at a port of its own.
fn blocks() -> (String, u16) {
    let ports: [u16; 8] = std::array::from_fn(|_| free_port());
    let block = |(number, port)| format!("z{number}.example:{port} {{\n bind 127.0.0.1\n errors\n whoami\n}}\n");
    ((0..).zip(ports).map(block).collect(), ports[0])
}

fn sockets(count: usize) -> (String, u16) {
    let port = free_port();
    (format!(".:{port} {{\n bind 127.0.0.1\n errors\n multisocket {count}\n cache 30\n whoami\n}}\n"), port)
}

/// A line of `/proc/PID/task/TID/status`, of each thread: its name and a number.
fn of_threads(server: &Server, line: &str) -> Vec<(String, u64)> {
    let folder = format!("/proc/{}/task", server.child.id());
    let threads = fs::read_dir(folder).unwrap().filter_map(|entry| {
        let status = fs::read_to_string(entry.ok()?.path().join("status")).ok()?;
        let value = |key: &str| Some(status.lines().find_map(|line| line.strip_prefix(key))?.trim().to_owned());
        Some((value("Name:")?, value(line)?.split(' ').next()?.parse().ok()?))
    });
    threads.collect()
}

/// How often all threads have gone to sleep, which is how often they woke.
fn wakes(server: &Server) -> u64 {
    of_threads(server, "voluntary_ctxt_switches:").iter().map(|(_, count)| count).sum()
}

/// Memory of its own, in KiB: neither the program nor libraries.
fn memory(server: &Server) -> u64 {
    of_threads(server, "RssAnon:").iter().map(|(_, size)| *size).max().unwrap()
}

fn data_threads(server: &Server) -> usize {
    of_threads(server, "Threads:").iter().filter(|(name, _)| name.starts_with("udp-")).count()
}

fn start(program: Command, corefile: &str, port: u16) -> (Server, tempfile::TempDir) {
    let folder = folder(corefile);
    let mut program = program;
    program.args(["-conf", "Corefile"]).current_dir(folder.path());
    let server = Server::of(program, "");
    answer(port, "z0.example.", RecordType::A);
    (server, folder)
}

/// Wake-ups of each server within the same time, the least of some tries: on a busy machine what came before goes on.
fn idle(servers: &[&Server], enough: u64) -> Vec<u64> {
    let mut least = vec![u64::MAX; servers.len()];
    for _ in 0..5 {
        let before: Vec<u64> = servers.iter().map(|server| wakes(server)).collect();
        std::thread::sleep(Duration::from_secs(3));
        for ((server, before), least) in servers.iter().zip(before).zip(&mut least) {
            *least = (*least).min(wakes(server) - before);
        }
        if least[0] <= enough {
            break;
        }
    }
    least
}

#[test]
fn nobody_wakes_and_little_is_held_when_nobody_asks() {
    // In three seconds. The control threads look at memory every ten.
    const ENOUGH: u64 = 12;
    for (name, (corefile, port), threads, most) in
        [("8 blocks", blocks(), 8, 8 << 10), ("64 sockets", sockets(64), 64, 12 << 10)]
    {
        let (ours, _folder) = start(command(), &corefile, port);
        wait_for(|| data_threads(&ours) == threads, || format!("{name}: {} data threads", data_threads(&ours)));
        let theirs = coredns().map(|path| {
            // Its own ports; one that is taken meanwhile would end it.
            let (corefile, port) = if threads == 8 { blocks() } else { sockets(64) };
            start(Command::new(path), &corefile, port)
        });
        let Some((theirs, _folder)) = &theirs else {
            assert!(idle(&[&ours], ENOUGH)[0] <= ENOUGH, "{name}");
            assert!(memory(&ours) < most, "{name}: {} KiB", memory(&ours));
            continue;
        };
        let wakes = idle(&[&ours, theirs], ENOUGH);
        let held = [memory(&ours), memory(theirs)];
        println!("{name}: {wakes:?} wake-ups in 3 seconds, {held:?} KiB (rollcall, CoreDNS)");
        assert!(wakes[0] <= ENOUGH, "{name}: {wakes:?}");
        assert!(held[0] < most, "{name}: {held:?}");
    }
}

#[test]
fn an_address_has_as_many_threads_as_its_load_takes_within_the_processors_of_the_process() {
    let port = free_port();
    // Each answer takes long enough to have the next ones wait.
    let hosts: String = (0..4000).map(|host| format!("  10.0.{}.{} a.example\n", host / 250, host % 250)).collect();
    let corefile = format!(".:{port} {{\n bind 127.0.0.1\n hosts {{\n{hosts} }}\n}}\n");
    for processors in [1, 2] {
        let mut program = command();
        if processors == 1 {
            // The affinity stands for a quota: both count as available.
            program = Command::new("taskset");
            program.args(["-c", "0"]).arg(rollcall_testing::program());
            if Command::new("taskset").arg("-V").output().is_err() {
                skip("no taskset on the path: a process with one processor is not tried");
                continue;
            }
        } else if std::thread::available_parallelism().unwrap().get() < 2 {
            skip("one processor: a second thread is not tried");
            continue;
        }
        let (server, _folder) = start(program, &corefile, port);
        let most =
            std::thread::available_parallelism().unwrap().get().min(if processors == 1 { 1 } else { usize::MAX });
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(1) || (processors > 1 && data_threads(&server) < 2) {
            assert!(begun.elapsed() < PATIENCE, "{} data threads", data_threads(&server));
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.connect(("127.0.0.1", port)).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            let query = queries::query(0x1234, "a.example", queries::A);
            (0..32).for_each(|_| assert_eq!(client.send(&query).unwrap(), query.len()));
            (0..32).for_each(|_| assert!(client.recv(&mut [0; 512]).unwrap() > 12));
            assert!(data_threads(&server) <= most);
        }
        // One thread is enough for nobody; with it goes what the load has taken.
        wait_for(|| data_threads(&server) == 1, || format!("{} data threads", data_threads(&server)));
        wait_for(|| memory(&server) < 16 << 10, || format!("{} KiB", memory(&server)));
    }
}
