"""A machine on paper: a `proc` tree as a busy Linux server has it, for the real psutil to read."""

from __future__ import annotations

from pathlib import Path

MIB = 1 << 20


class Machine:
    """Its numbers may be changed between two samples; `write` puts them where psutil reads them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.booted = 1_790_000_000
        # ticks (100 a second): user nice system idle iowait irq softirq steal guest guest_nice
        self.cpu = [5_000, 100, 2_000, 90_000, 700, 0, 200, 0, 1_000, 0]
        # KiB
        self.memory = {
            "MemTotal": 16_384 << 10,
            "MemFree": 1_024 << 10,
            "MemAvailable": 4_096 << 10,
            "Buffers": 100 << 10,
            "Cached": 3_000 << 10,
            "Shmem": 10 << 10,
            "Active": 6_000 << 10,
            "Inactive": 2_000 << 10,
            "SwapTotal": 2_048 << 10,
            "SwapFree": 1_536 << 10,
        }
        self.swap_pages = [100, 200]
        # name: reads, sectors read, ms reading, writes, sectors written, ms writing, ms busy
        self.disks = {
            "loop0": [10, 20, 1, 0, 0, 0, 1],
            "ram0": [0, 0, 0, 0, 0, 0, 0],
            "nvme0n1": [1_000, 8_000, 500, 2_000, 16_000, 900, 700],
            "nvme0n1p1": [900, 7_000, 400, 1_900, 15_000, 800, 600],
            "sda": [50, 400, 30, 60, 480, 40, 35],
            "sda1": [50, 400, 30, 60, 480, 40, 35],
            "dm-0": [1_000, 8_000, 500, 2_000, 16_000, 900, 700],
            "md127": [1, 8, 1, 1, 8, 1, 1],
        }
        # name: bytes, packets, errors, drops received; the same transmitted
        self.network = {
            "lo": [9_999, 99, 0, 0, 9_999, 99, 0, 0],
            "eth0": [1_000_000, 1_000, 1, 2, 500_000, 800, 3, 4],
            "docker0": [7, 7, 0, 0, 7, 7, 0, 0],
            "br-1a2b3c": [7, 7, 0, 0, 7, 7, 0, 0],
            "veth0a1b": [7, 7, 0, 0, 7, 7, 0, 0],
        }
        self.mounts = [
            "/dev/nvme0n1p1 / ext4 rw,relatime",
            "proc /proc proc rw,nosuid",
            "tmpfs /run tmpfs rw,nosuid",
            "/dev/sda1 /var/lib/data xfs rw,relatime",
            "/dev/sda1 /srv/same xfs rw,relatime",
            "/dev/loop0 /snap/core squashfs ro,nodev",
            "/dev/sr0 /media/cd iso9660 ro",
            "files:/export /mnt/nfs nfs4 rw,hard",
            "me@host: /home/me/far fuse.sshfs rw",
            "overlay /var/lib/docker/overlay2/x/merged overlay rw",
        ]
        self.pids = [1, 2, 300, 4000]

    def write(self) -> None:
        """Make the files."""
        cpu = " ".join(map(str, self.cpu))
        swap = f"pswpin {self.swap_pages[0]}\npswpout {self.swap_pages[1]}\n"
        disks = "".join(
            f"259 0 {name} {r} 0 {rs} {rms} {w} 0 {ws} {wms} 0 {busy} 0 0 0 0 0\n"
            for name, (r, rs, rms, w, ws, wms, busy) in self.disks.items()
        )
        cards = "".join(
            f"{name}: {rb} {rp} {re} {rd} 0 0 0 0 {tb} {tp} {te} {td} 0 0 0 0\n"
            for name, (rb, rp, re, rd, tb, tp, te, td) in self.network.items()
        )
        files = {
            "stat": f"cpu  {cpu}\ncpu0 {cpu}\nintr 1\nbtime {self.booted}\n",
            "meminfo": "".join(f"{name}: {kib} kB\n" for name, kib in self.memory.items()),
            "vmstat": swap,
            "diskstats": disks,
            "net/dev": f"Inter-|\n face |\n{cards}",
            "self/mounts": "".join(f"{mount} 0 0\n" for mount in self.mounts),
        }
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for pid in self.pids:
            (self.root / str(pid)).mkdir(exist_ok=True)
