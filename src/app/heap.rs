//! How the memory of the process is laid out.

#![expect(unsafe_code, reason = "settings of the C library's allocator have no safe interface")]

/// Lets all threads allocate from one heap.
///
/// Otherwise each control thread keeps a heap of its own, with room that the first list took and nobody else can use:
/// 43 MB instead of 39 with 100,000 endpoints. Data threads allocate nothing for a cluster name, and small pieces come
/// from each thread's own store, so that the heap is not fought for.
pub(super) fn share() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes two numbers and no pointer; it is called before there is a second thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    // Heaps of threads are aligned to 64 MiB and reserve as much: anonymous, private, without any right at their end.
    #[test]
    #[cfg(target_env = "gnu")]
    fn a_thread_that_allocates_gets_no_heap_of_its_own() {
        // In a process of its own: other tests have heaps already.
        if std::env::var_os("ROLLCALL_TEST_HEAP").is_none() {
            let this = std::env::current_exe().unwrap();
            let name = "app::heap::tests::a_thread_that_allocates_gets_no_heap_of_its_own";
            let run = std::process::Command::new(this)
                .args(["--exact", name, "--test-threads", "1"])
                .env("ROLLCALL_TEST_HEAP", "1")
                .output()
                .unwrap();
            assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
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
