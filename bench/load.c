/* The load: subscribers that read, in one thread, and publishers that post, in another, so that no publish waits until
 * 1,000 sockets have been read. Compiled by suite.py where a compiler is there.
 *
 *   load ADDRESS PORT SUBSCRIBERS PUBLISHERS BYTES RATE WARM_UP SECONDS FROZEN GREETING
 *
 * RATE 0 is a closed loop: each publisher posts again as soon as it is answered. Else it is open: so many posts a second
 * whether or not the server answers, timed from when each was due, so that a server which hesitates cannot hide it.
 * It prints one line of JSON. What is published carries its moment: `|`, 20 digits of nanoseconds, padding. The mark
 * stands nowhere else, so counting marks counts events.
 *
 * In a closed loop, subscribers are swept every few milliseconds and not woken for each event: waking readers is no work
 * of the server's. In an open loop each is read the moment something arrives. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { STAMP = 20, BUFFER = 1 << 20, READY = 1024, SWEEP_US = 4000, GRACE_S = 5, PATIENCE_S = 20, ANSWER = 4096 };
#define LOOP 1000000000LL

struct subscriber {
    int fd, connected;
    char rest[STAMP + 1]; /* a stamp that a read has cut */
    int rested;
};
struct publisher {
    int fd, waiting;
    char answer[ANSWER];
    size_t length;
};

static struct sockaddr_in server;
static struct subscriber *subscribers;
static struct publisher *publishers;
static int subscriber_count, publisher_count, frozen, event_bytes;
static double rate;
static const char *greeting;
static char buffer[BUFFER], request[1 << 17];
static int request_head, subscriber_poll, publisher_poll;
static _Atomic int64_t received;
static atomic_int sweeping;
static int64_t published, refused, counted_from = INT64_MAX;
static int64_t *latencies, latency_count, latency_room;

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * LOOP + t.tv_nsec;
}

static double cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void fail(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int open_connection(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    if (fd < 0) fail("socket");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(fd, (void *)&server, sizeof server) && errno != EINPROGRESS) fail("connect");
    return fd;
}

static void note(int64_t stamp, int64_t at) {
    if (stamp < counted_from) return;
    if (latency_count == latency_room) {
        latency_room = latency_room ? 2 * latency_room : 1 << 16;
        latencies = realloc(latencies, latency_room * sizeof *latencies);
    }
    latencies[latency_count++] = at - stamp;
}

/* Read what is there from a subscriber, count its marks and, in an open loop, take its stamps. */
static int take(struct subscriber *each) {
    ssize_t got = recv(each->fd, buffer + STAMP + 1, BUFFER - STAMP - 1, 0);
    if (got <= 0) {
        if (got < 0 && errno == EAGAIN) return 0;
        errno = got ? errno : ECONNRESET;
        fail("a subscriber was cut off");
    }
    char *begin = buffer + STAMP + 1, *end = begin + got;
    if (each->rested) {
        begin -= each->rested;
        memcpy(begin, each->rest, each->rested);
        each->rested = 0;
    }
    int64_t at = rate > 0 ? now() : 0;
    for (char *mark = memchr(begin, '|', end - begin); mark; mark = memchr(mark, '|', end - mark)) {
        if (rate > 0 && end - mark <= STAMP) { /* cut within the stamp: counted with the next read */
            each->rested = end - mark;
            memcpy(each->rest, mark, each->rested);
            break;
        }
        received++;
        if (rate > 0) {
            char digits[STAMP + 1];
            memcpy(digits, mark + 1, STAMP);
            digits[STAMP] = 0;
            note(strtoll(digits, NULL, 10), at);
        }
        mark++;
    }
    return 1;
}

static void sweep(int timeout_ms) {
    struct epoll_event ready[READY];
    int found, most = subscriber_count / READY + 1;
    do {
        found = epoll_wait(subscriber_poll, ready, READY, timeout_ms);
        for (int i = 0; i < found; i++) take(ready[i].data.ptr);
        timeout_ms = 0;
    } while (found == READY && --most);
}

/* Connect all at once; the seconds until each had its greeting. */
static double connect_all(double *last) {
    int64_t began = now(), until = began + PATIENCE_S * LOOP;
    struct epoll_event ready[READY];
    char head[256];
    int length = snprintf(head, sizeof head,
                          "GET /realtime/bench HTTP/1.1\r\nHost: %s:%d\r\nAccept: text/event-stream\r\n\r\n",
                          inet_ntoa(server.sin_addr), ntohs(server.sin_port));
    int waiting = subscriber_count;
    double sum = 0;
    for (int i = 0; i < subscriber_count; i++) {
        subscribers[i].fd = open_connection();
        epoll_ctl(subscriber_poll, EPOLL_CTL_ADD, subscribers[i].fd,
                  &(struct epoll_event){.events = EPOLLOUT, .data.ptr = &subscribers[i]});
    }
    while (waiting) {
        int found = epoll_wait(subscriber_poll, ready, READY, 1000);
        if (now() > until) errno = ETIMEDOUT, fail("not all subscribers have a stream in time");
        for (int i = 0; i < found; i++) {
            struct subscriber *each = ready[i].data.ptr;
            if (ready[i].events & EPOLLOUT) {
                if (send(each->fd, head, length, MSG_NOSIGNAL) != length) fail("a subscriber could not ask");
                epoll_ctl(subscriber_poll, EPOLL_CTL_MOD, each->fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = each});
                continue;
            }
            ssize_t got = recv(each->fd, buffer, BUFFER, 0);
            if (got <= 0) fail("a subscriber was refused");
            if (!each->connected && memmem(buffer, got, greeting, strlen(greeting))) {
                each->connected = 1;
                waiting--;
                *last = (now() - began) / 1e9;
                sum += *last;
            } else if (strncmp(buffer, "HTTP/1.1 200", 12) && !each->connected && memmem(buffer, got, "HTTP/1.1 ", 9)) {
                fprintf(stderr, "load: a subscriber was answered %.200s\n", buffer);
                exit(1);
            }
        }
    }
    return sum / subscriber_count;
}

static void post(struct publisher *each, int64_t stamp) {
    snprintf(request + request_head, STAMP + 2, "|%020lld", (long long)stamp);
    request[request_head + STAMP + 1] = 'x';
    ssize_t size = request_head + event_bytes;
    if (send(each->fd, request, size, MSG_NOSIGNAL) == size) {
        published++;
        each->waiting++;
    } else {
        refused++;
    }
}

/* Read answers; whether one was completed. */
static int answered(struct publisher *each) {
    ssize_t got = recv(each->fd, each->answer + each->length, ANSWER - 1 - each->length, 0);
    if (got < 0 && errno == EAGAIN) return 0;
    if (got <= 0) fail("a publisher was cut off");
    each->length += got;
    int done = 0;
    for (;;) {
        each->answer[each->length] = 0;
        char *end = strstr(each->answer, "\r\n\r\n"), *field = strcasestr(each->answer, "content-length:");
        if (!end) return done;
        if (strncmp(each->answer, "HTTP/1.1 20", 11) || !field || field > end) {
            fprintf(stderr, "load: a publish was answered %.300s\n", each->answer);
            exit(1);
        }
        size_t whole = end + 4 - each->answer + strtoul(field + 15, NULL, 10);
        if (each->length < whole) return done;
        each->length -= whole;
        memmove(each->answer, each->answer + whole, each->length);
        each->waiting--;
        done = 1;
    }
}

static void *sweep_on(void *unused) {
    while (sweeping) {
        sweep(0);
        usleep(SWEEP_US);
    }
    return unused;
}

static void closed_loop(int64_t until) {
    struct epoll_event ready[READY];
    for (int i = 0; i < publisher_count; i++)
        if (!publishers[i].waiting) post(&publishers[i], now());
    while (now() < until) {
        int found = epoll_wait(publisher_poll, ready, READY, 1);
        for (int i = 0; i < found; i++)
            if (answered(ready[i].data.ptr)) post(ready[i].data.ptr, now());
    }
}

static void open_loop(int64_t began, int64_t until) {
    struct epoll_event ready[READY];
    int64_t number = 0;
    for (int64_t at = now(); at < until; at = now()) {
        int64_t due = began + (int64_t)(number / rate * 1e9);
        if (due <= at) {
            post(&publishers[number++ % publisher_count], due);
            continue;
        }
        sweep(due - at > 2000000 ? 1 : 0);
        int found = epoll_wait(publisher_poll, ready, READY, 0);
        for (int i = 0; i < found; i++) answered(ready[i].data.ptr);
    }
}

static void settle(int64_t expected) {
    struct epoll_event ready[READY];
    for (int64_t until = now() + GRACE_S * LOOP; received < expected && now() < until;) {
        sweep(1);
        int found = epoll_wait(publisher_poll, ready, READY, 0);
        for (int i = 0; i < found; i++) answered(ready[i].data.ptr);
    }
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double share(double part) {
    return latency_count ? latencies[(int64_t)(part * (latency_count - 1))] / 1e9 : -1;
}

/* Wait for a line on standard input, reading what comes meanwhile (pings), and say that we are there. */
static void rendezvous(const char *said) {
    printf("%s\n", said);
    fflush(stdout);
    struct epoll_event ready[READY];
    fcntl(0, F_SETFL, O_NONBLOCK);
    char line[64];
    while (read(0, line, sizeof line) < 0) {
        int found = epoll_wait(subscriber_poll, ready, READY, 20);
        for (int i = 0; i < found; i++) take(ready[i].data.ptr);
    }
}

int main(int argc, char **argv) {
    if (argc != 11) return fprintf(stderr, "load: ten arguments; see the comment at the top\n"), 2;
    struct rlimit files = {20000, 20000};
    setrlimit(RLIMIT_NOFILE, &files);
    server.sin_family = AF_INET;
    inet_aton(argv[1], &server.sin_addr);
    server.sin_port = htons(atoi(argv[2]));
    subscriber_count = atoi(argv[3]);
    publisher_count = atoi(argv[4]);
    event_bytes = atoi(argv[5]);
    rate = atof(argv[6]);
    double warm_up = atof(argv[7]), seconds = atof(argv[8]);
    frozen = atoi(argv[9]);
    greeting = argv[10];
    subscribers = calloc(subscriber_count + 1, sizeof *subscribers);
    publishers = calloc(publisher_count + 1, sizeof *publishers);
    subscriber_poll = epoll_create1(0);
    publisher_poll = epoll_create1(0);

    request_head = snprintf(request, sizeof request,
                            "POST /realtime/bench HTTP/1.1\r\nHost: %s:%d\r\nContent-Length: %d\r\n\r\n",
                            inet_ntoa(server.sin_addr), ntohs(server.sin_port), event_bytes);
    memset(request + request_head, 'x', event_bytes);

    double last = 0, mean = connect_all(&last);
    char said[128];
    snprintf(said, sizeof said, "{\"connected_all\": %.6f, \"connected_mean\": %.6f}", last, mean);
    rendezvous(said);
    for (int i = subscriber_count - frozen; i < subscriber_count; i++)
        epoll_ctl(subscriber_poll, EPOLL_CTL_DEL, subscribers[i].fd, NULL);
    int reading = subscriber_count - frozen;

    for (int i = 0; i < publisher_count; i++) {
        publishers[i].fd = open_connection();
        epoll_ctl(publisher_poll, EPOLL_CTL_ADD, publishers[i].fd,
                  &(struct epoll_event){.events = EPOLLIN, .data.ptr = &publishers[i]});
        fcntl(publishers[i].fd, F_SETFL, fcntl(publishers[i].fd, F_GETFL) & ~O_NONBLOCK);
        fcntl(publishers[i].fd, F_SETFL, O_NONBLOCK);
    }
    usleep(50000);
    int64_t began = now(), middle = began + (int64_t)(warm_up * 1e9), end = middle + (int64_t)(seconds * 1e9);
    counted_from = middle;
    int64_t from, posted;
    double used;
    if (rate > 0) {
        from = 0, posted = 0, used = cpu();
        open_loop(began, end);
        used = cpu() - used;
        seconds += warm_up;
    } else {
        pthread_t sweeper;
        sweeping = 1;
        pthread_create(&sweeper, NULL, sweep_on, NULL);
        closed_loop(middle);
        from = received, posted = published, used = cpu(), middle = now();
        closed_loop(end);
        used = cpu() - used;
        seconds = (now() - middle) / 1e9;
        posted = published - posted, from = received - from;
        sweeping = 0;
        pthread_join(sweeper, NULL);
    }
    int64_t counted = rate > 0 ? received : from, accepted = rate > 0 ? published : posted;
    settle(published * reading);
    qsort(latencies, latency_count, sizeof *latencies, ascending);
    printf("{\"seconds\": %.6f, \"deliveries\": %lld, \"published\": %lld, \"refused\": %lld, \"missing\": %lld, \"cpu\": %.6f, "
           "\"p50\": %.9f, \"p99\": %.9f, \"p999\": %.9f}\n",
           seconds, (long long)counted, (long long)accepted, (long long)refused, (long long)(published * reading - received), used,
           share(0.5), share(0.99), share(0.999));
    fflush(stdout);
    return 0;
}
