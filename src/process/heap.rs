//! The layout of the memory of the process.

#![cfg_attr(
    target_env = "gnu",
    expect(unsafe_code, reason = "settings of the C library's allocator have no safe interface")
)]

use std::time::Duration;

/// Lets all threads allocate from one heap.
///
/// Otherwise each control thread keeps a heap of its own, with room that the first list took and nobody else can use:
/// 43 MB instead of 39 with 100,000 endpoints. Data threads allocate nothing for a cluster name, and small pieces come
/// from each thread's own store, so that the heap is not fought for.
pub(crate) fn share() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes two numbers and no pointer; it is called before there is a second thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// The time between two looks at whether memory can be given back.
pub(crate) const LOOK: Duration = Duration::from_secs(10);

/// The octets that may be held without use: to give them back and take them again costs more than it is worth.
const SPARE: usize = 16 << 20;

/// Gives back to the system what a burst has left behind. The allocator does so by itself only from the end of the heap,
/// where a single piece in use holds all of it: 10,000 connections that had sent an octet each left 143 MiB.
///
/// `left` is what could not be given back the last time.
pub(crate) fn give_back(left: &mut usize) {
    let Some(spare) = spare() else { return };
    *left = spare.min(*left);
    if spare > *left + SPARE {
        #[cfg(target_env = "gnu")]
        // SAFETY: takes a number and no pointer, and locks the heap itself.
        unsafe {
            libc::malloc_trim(0);
        }
        *left = self::spare().unwrap_or_default();
    }
}

/// Octets that the process has from the system and does not use, as far as the allocator tells.
fn spare() -> Option<usize> {
    #[cfg(target_env = "gnu")]
    {
        const PAGE: usize = 4096;
        let numbers = std::fs::read_to_string("/proc/self/statm").ok()?;
        let mut numbers = numbers.split(' ').skip(1).map_while(|number| number.parse::<usize>().ok());
        let (resident, of_files) = (numbers.next()?, numbers.next()?);
        // SAFETY: takes nothing, and locks the heap itself.
        let used = unsafe { libc::mallinfo2() };
        Some(((resident.saturating_sub(of_files)) * PAGE).saturating_sub(used.uordblks + used.hblkhd))
    }
    #[cfg(not(target_env = "gnu"))]
    None
}

#[cfg(test)]
mod tests {
    use std::fs;

    /// Whether a test runs in a process of its own, as other tests allocate as well; starts that process otherwise.
    #[cfg(target_env = "gnu")]
    fn is_alone(test: &str) -> bool {
        const MARK: &str = "ROLLCALL_TEST_ALONE";
        if std::env::var_os(MARK).is_some() {
            return true;
        }
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("process::heap::tests::{test}"), "--test-threads", "1"])
            .env(MARK, "1")
            .output()
            .unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
        false
    }

    #[test]
    #[cfg(target_env = "gnu")]
    fn what_a_burst_has_left_is_given_back() {
        if !is_alone("what_a_burst_has_left_is_given_back") {
            return;
        }
        super::share();
        let mut left = 0;
        let mut pieces: Vec<(usize, Vec<u8>)> = (0..20_000).map(|number| (number, vec![1; 4000])).collect();
        super::give_back(&mut left);
        pieces.retain(|(number, _)| number % 500 == 0);
        let before = super::spare().unwrap();
        assert!(before > 64 << 20, "{before} after {} pieces were kept", pieces.len());
        super::give_back(&mut left);
        let after = super::spare().unwrap();
        assert!(after < 8 << 20, "{after} of {before}");
    }

    // Heaps of threads are aligned to 64 MiB and reserve as much: anonymous, private, without any right at their end.
    #[test]
    #[cfg(target_env = "gnu")]
    fn a_thread_that_allocates_gets_no_heap_of_its_own() {
        if !is_alone("a_thread_that_allocates_gets_no_heap_of_its_own") {
            return;
        }
        let heaps = || {
            let maps = fs::read_to_string("/proc/self/maps").unwrap();
            maps.lines().filter(|line| line.contains("---p 00000000 00:00 0") && is_heap(line)).count()
        };
        super::share();
        let before = heaps();
        let threads = [(); 4].map(|()| std::thread::spawn(|| vec![vec![1_u8; 3000]; 100]));
        let held = threads.map(|thread| thread.join().unwrap());
        assert_eq!((heaps(), held.len()), (before, 4));
    }

    /// Whether a line of `maps` is the reserved end of a thread's heap: it ends at a multiple of 64 MiB.
    fn is_heap(line: &str) -> bool {
        let end = line.split([' ', '-']).nth(1).and_then(|end| u64::from_str_radix(end, 16).ok());
        end.is_some_and(|end| end % (64 << 20) == 0)
    }
}
