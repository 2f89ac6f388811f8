//! CPU time and peak memory of processes, as counted by the kernel.

use std::time::Duration;
use std::{fs, thread};

/// The CPU clock of a process for clock_gettime(2): the time of all its threads in user and system mode, including
/// threads that have ended. /proc/PID/stat has the same with a resolution of 10 ms.
fn cpu_clock(pid: u32) -> i32 {
    const OF_ALL_THREADS: i32 = 2;
    (!pid.cast_signed() << 3) | OF_ALL_THREADS
}

const OWN_CPU_CLOCK: i32 = 2;

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanos: i64,
}

#[expect(unsafe_code, reason = "the standard library cannot read the CPU time of another process")]
unsafe extern "C" {
    fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
}

#[expect(unsafe_code, reason = "calls a C function")]
fn read_clock(clock: i32) -> Duration {
    let mut time = Timespec { seconds: 0, nanos: 0 };
    // SAFETY: 64-bit Linux writes a struct of this layout, which outlives the call.
    let failed = unsafe { clock_gettime(clock, &raw mut time) } != 0;
    assert!(!failed, "a measured process has ended");
    Duration::new(time.seconds.cast_unsigned(), u32::try_from(time.nanos).expect("less than a second"))
}

/// The total CPU time of these processes.
pub fn cpu(pids: &[u32]) -> Duration {
    pids.iter().map(|pid| read_clock(cpu_clock(*pid))).sum()
}

/// The CPU time of this process, the client.
pub fn own_cpu() -> Duration {
    read_clock(OWN_CPU_CLOCK)
}

/// The sum of the peak memory of each process since [`reset_peak`], in bytes. Shared memory counts for each.
pub fn peak(pids: &[u32]) -> f64 {
    let of_one = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a measured process has ended");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        line.trim_end_matches("kB").trim().parse::<f64>().expect("a number") * 1024.0
    };
    pids.iter().map(of_one).sum()
}

/// Resets the peak memory of these processes.
pub fn reset_peak(pids: &[u32]) {
    for pid in pids {
        fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("Linux 4.0 or newer");
    }
}

/// A process and its children.
pub fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    std::iter::once(pid).chain(children).collect()
}

/// Waits until the machine is nearly idle, at most 15 seconds.
pub fn wait_until_idle() {
    const BUSY: f64 = 0.1;
    for _ in 0..60 {
        let before = machine();
        thread::sleep(Duration::from_millis(250));
        let now = machine();
        let (busy, all) = (now.0 - before.0, now.1 - before.1);
        if (busy as f64) < BUSY * all as f64 {
            return;
        }
    }
}

/// The busy ticks and all ticks of all cores (proc_stat(5)).
fn machine() -> (u64, u64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).take(8).collect();
    let all: u64 = ticks.iter().sum();
    // The fourth and the fifth are idle, and idle while waiting for a disk.
    (all - ticks.iter().skip(3).take(2).sum::<u64>(), all)
}
