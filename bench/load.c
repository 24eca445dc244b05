/* The load: subscribers that read, in one thread, and publishers that post, in another, so that no publish waits until
 * 1,000 sockets have been read. Compiled by generator.py where a compiler is there; its arguments are `name=value`, see
 * `options`.
 *
 * `rate=0` is a closed loop: each publisher posts again as soon as it is answered. Else it is open: so many posts a second
 * whether or not the server answers, timed from when each was due, so that a server which hesitates cannot hide it.
 * It prints two lines of JSON: when all subscribers have a stream, or with `cursor` all that they were to resume; and,
 * once it has been told to go by a line on standard input, what it measured. What is published carries its moment: `|`,
 * 20 digits of nanoseconds, padding. The mark stands nowhere else, so counting marks counts events.
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

enum { STAMP = 20, BUFFER = 1 << 20, READY = 1024, SWEEP_US = 4000, GRACE_S = 5, ANSWER = 4096 };
#define LOOP 1000000000LL

struct subscriber {
    int fd, connected;
    int64_t resumed; /* marks counted until it was connected */
    char rest[STAMP + 1]; /* a stamp that a read has cut */
    int rested;
};
struct publisher {
    int fd, waiting;
    char answer[ANSWER];
    size_t length;
};

static struct sockaddr_in server, publish_server;
static struct subscriber *subscribers;
static struct publisher *publishers;
static int port, publish_port, subscriber_count, publisher_count, event_bytes = 100, frozen, expected;
static double rate, warm_up = 0.5, seconds = 3, patience = 20;
static const char *greeting = "event: connected", *cursor = "";

static const struct {
    const char *name;
    int *whole;
    double *real;
    const char **text;
} options[] = {
    {"port", &port, NULL, NULL},                 /* of the server, at 127.0.0.1 */
    {"publish_port", &publish_port, NULL, NULL}, /* of the one that is published to, if it is another */
    {"subscribers", &subscriber_count, NULL, NULL},
    {"publishers", &publisher_count, NULL, NULL},
    {"data_bytes", &event_bytes, NULL, NULL},
    {"frozen", &frozen, NULL, NULL},             /* of the subscribers, that do not read */
    {"expected", &expected, NULL, NULL},         /* events to be resumed */
    {"rate", NULL, &rate, NULL},                 /* events a second, of all publishers */
    {"warm_up", NULL, &warm_up, NULL},           /* seconds that are not counted */
    {"seconds", NULL, &seconds, NULL},
    {"patience", NULL, &patience, NULL},         /* seconds within which all subscribers must have a stream */
    {"greeting", NULL, NULL, &greeting},         /* what a subscriber gets when it has one */
    {"cursor", NULL, NULL, &cursor},             /* Last-Event-ID to resume with */
};

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

static int open_connection(const struct sockaddr_in *to) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    if (fd < 0) fail("socket");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(fd, (void *)to, sizeof *to) && errno != EINPROGRESS) fail("connect");
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

/* Whether this is what a subscriber was connected for: the greeting, or the last of the events that it resumes. */
static int is_there(struct subscriber *each, const char *data, ssize_t length) {
    if (!*cursor) return memmem(data, length, greeting, strlen(greeting)) != NULL;
    const char *end = data + length;
    for (const char *mark = memchr(data, '|', length); mark; mark = memchr(mark + 1, '|', end - mark - 1)) each->resumed++;
    return each->resumed >= expected;
}

/* Connect all at once; the seconds until the last was there, and the mean of all. */
static double connect_all(double *last) {
    int64_t began = now(), until = began + (int64_t)(patience * LOOP);
    struct epoll_event ready[READY];
    char head[512];
    int length = snprintf(head, sizeof head, "GET /realtime/bench HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: text/event-stream\r\n%s%s%s\r\n",
                          port, *cursor ? "Last-Event-ID: " : "", cursor, *cursor ? "\r\n" : "");
    int waiting = subscriber_count;
    double sum = 0;
    for (int i = 0; i < subscriber_count; i++) {
        subscribers[i].fd = open_connection(&server);
        epoll_ctl(subscriber_poll, EPOLL_CTL_ADD, subscribers[i].fd,
                  &(struct epoll_event){.events = EPOLLOUT, .data.ptr = &subscribers[i]});
    }
    while (waiting) {
        int found = epoll_wait(subscriber_poll, ready, READY, 1000);
        if (now() > until) errno = ETIMEDOUT, fail("not all subscribers were served in time");
        for (int i = 0; i < found; i++) {
            struct subscriber *each = ready[i].data.ptr;
            if (ready[i].events & EPOLLOUT) {
                if (send(each->fd, head, length, MSG_NOSIGNAL) != length) fail("a subscriber could not ask");
                epoll_ctl(subscriber_poll, EPOLL_CTL_MOD, each->fd, &(struct epoll_event){.events = EPOLLIN, .data.ptr = each});
                continue;
            }
            ssize_t got = recv(each->fd, buffer, BUFFER, 0);
            if (got <= 0) fail("a subscriber was refused");
            if (each->connected) continue;
            if (is_there(each, buffer, got)) {
                each->connected = 1;
                waiting--;
                *last = (now() - began) / 1e9;
                sum += *last;
            } else if (strncmp(buffer, "HTTP/1.1 200", 12) && memmem(buffer, got, "HTTP/1.1 ", 9)) {
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

static void read_option(const char *given) {
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        size_t length = strlen(options[i].name);
        if (strncmp(given, options[i].name, length) || given[length] != '=') continue;
        const char *value = given + length + 1;
        if (options[i].whole) *options[i].whole = atoi(value);
        if (options[i].real) *options[i].real = atof(value);
        if (options[i].text) *options[i].text = value;
        return;
    }
    fprintf(stderr, "load: there is no option %s\n", given);
    exit(2);
}

static struct sockaddr_in at_loopback(int port) {
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int main(int argc, char **argv) {
    struct rlimit files = {20000, 20000};
    setrlimit(RLIMIT_NOFILE, &files);
    for (int i = 1; i < argc; i++) read_option(argv[i]);
    server = at_loopback(port);
    publish_server = publish_port ? at_loopback(publish_port) : server;
    subscribers = calloc(subscriber_count + 1, sizeof *subscribers);
    publishers = calloc(publisher_count + 1, sizeof *publishers);
    subscriber_poll = epoll_create1(0);
    publisher_poll = epoll_create1(0);

    request_head = snprintf(request, sizeof request,
                            "POST /realtime/bench HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: %d\r\n\r\n",
                            ntohs(publish_server.sin_port), event_bytes);
    memset(request + request_head, 'x', event_bytes);

    double last = 0, mean = connect_all(&last);
    char said[128];
    snprintf(said, sizeof said, "{\"connected_all\": %.6f, \"connected_mean\": %.6f}", last, mean);
    rendezvous(said);
    for (int i = subscriber_count - frozen; i < subscriber_count; i++)
        epoll_ctl(subscriber_poll, EPOLL_CTL_DEL, subscribers[i].fd, NULL);
    int reading = subscriber_count - frozen;

    for (int i = 0; i < publisher_count; i++) {
        publishers[i].fd = open_connection(&publish_server);
        epoll_ctl(publisher_poll, EPOLL_CTL_ADD, publishers[i].fd,
                  &(struct epoll_event){.events = EPOLLIN, .data.ptr = &publishers[i]});
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
