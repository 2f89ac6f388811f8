// An HTTP stack for tus that always talks to the origin of the page. The server names uploads by its public URL, which
// may be another name of the same machine, so only the path of such a URL is used.
import { DefaultHttpStack, type HttpRequest, type HttpResponse, type HttpStack } from 'tus-js-client'

class SameOriginHttpStack implements HttpStack {
  #stack = new DefaultHttpStack({})

  createRequest(method: string, url: string): HttpRequest {
    const { pathname, search } = new URL(url, location.href)
    const request = this.#stack.createRequest(method, location.origin + pathname + search)
    const send = request.send.bind(request)
    request.send = async (body: unknown) => withRelativeLocation(await send(body))
    return request
  }

  getName() {
    return 'SameOriginHttpStack'
  }
}

function withRelativeLocation(response: HttpResponse): HttpResponse {
  const header = response.getHeader.bind(response)
  response.getHeader = (name) => {
    const value = header(name)
    return value && name.toLowerCase() === 'location' ? new URL(value, location.href).pathname : value
  }
  return response
}

export const sameOriginHttp: HttpStack = new SameOriginHttpStack()
