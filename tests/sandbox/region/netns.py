"""Network namespaces from inside one process: sockets made in a namespace stay there for good."""

import ctypes
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _enter(descriptor: int) -> None:
    # setns moves the calling thread only
    if _libc.setns(descriptor, CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """The calling thread is in the namespace meanwhile."""
    descriptor = os.open(f"/run/netns/{namespace}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(descriptor)
        try:
            yield
        finally:
            _enter(_home)
    finally:
        os.close(descriptor)


def make_socket(namespace: str | None, kind: int) -> socket.socket:
    """An IPv4 socket in the namespace; None is the machine's own."""
    if namespace is None:
        return socket.socket(socket.AF_INET, kind)
    with inside(namespace):
        return socket.socket(socket.AF_INET, kind)


def listen(namespace: str | None, address: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one."""
    sock = make_socket(namespace, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    sock.listen(128)
    return sock


def connect(
    namespace: str, address: str, port: int, timeout: float, source: str | None = None
) -> socket.socket:
    """A TCP connection made from inside the namespace, from one of its addresses if that matters."""
    sock = make_socket(namespace, socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        if source is not None:
            sock.bind((source, 0))
        sock.connect((address, port))
    except BaseException:
        sock.close()
        raise
    return sock


def relay(sock: socket.socket, namespace: str, address: str, port: int) -> threading.Thread:
    """Carries every connection a listening socket accepts to an address inside the namespace."""

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def carry(client: socket.socket) -> None:
        with client:
            try:
                server = connect(namespace, address, port, 10)
            except OSError:
                return
            with server:
                server.settimeout(None)
                back = threading.Thread(target=pump, args=(server, client), daemon=True)
                back.start()
                pump(client, server)
                back.join()

    def accept() -> None:
        while True:
            try:
                client, _ = sock.accept()
            except OSError:
                return
            threading.Thread(target=carry, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept, name=f"relay-{port}", daemon=True)
    thread.start()
    return thread
