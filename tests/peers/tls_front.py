"""usage: tls_front.py PORT CERTIFICATE BACKEND_PORT: TLS on loopback in front of a server without."""

import socket
import ssl
import sys
import threading


def pump(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(connection, context, backend):
    try:
        with context.wrap_socket(connection, server_side=True) as client, socket.create_connection(("127.0.0.1", backend)) as server:
            back = threading.Thread(target=pump, args=(server, client), daemon=True)
            back.start()
            pump(client, server)
            back.join()
    except OSError:
        pass


def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2])
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64) as listener:
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0], context, int(sys.argv[3])), daemon=True).start()


if __name__ == "__main__":
    main()
